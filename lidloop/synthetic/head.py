"""Drawing of one head, neck and shoulders with hair, hat and glasses."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.synthetic.eyes import paint_eye
from lidloop.synthetic.features import paint_brows, paint_skin, patch
from lidloop.synthetic.geometry import SIDES, FaceModel, Floats, Pose, Solid, body_solids, head_solids
from lidloop.synthetic.looks import Light, Look
from lidloop.synthetic.paint import (
    Bytes,
    Colour,
    blend,
    crop_tile,
    curve,
    fill,
    fixed,
    mask_of,
    noise_tile,
    ring,
    stroke,
    window,
)
from lidloop.synthetic.photo import cast_shadows
from lidloop.synthetic.wear import paint_glasses, paint_hair, paint_locks

_GRID_MM = 3.5


def _outlines(solids: dict[str, Solid], pose: Pose, grow: float = 1.0) -> dict[str, Floats]:
    turn = pose.rotation[:2]
    centres = np.array([solid.centre for solid in solids.values()]) @ turn.T
    m = turn * np.array([solid.radii for solid in solids.values()])[:, None, :] * grow
    root = np.linalg.cholesky(m @ m.transpose(0, 2, 1))
    rings = ring(28) @ root.transpose(0, 2, 1) + centres[:, None]
    return dict(zip(solids, rings * pose.scale + pose.origin, strict=True))


def outline(model: FaceModel, pose: Pose) -> dict[str, Floats]:
    """Projected outlines of the head's solids, each (28, 2) in pixels; ``skull`` is the hull of the head."""
    shapes = _outlines(head_solids(model.identity, model.expression), pose)
    shapes["skull"] = hull(np.concatenate([shapes[name] for name in _SKULL]))
    return shapes


def body_outline(model: FaceModel, pose: Pose, look: Look, height: int) -> dict[str, Floats]:
    """Outlines in pixels of ``cap`` (the hair), ``neck``, ``torso`` down to ``height``, and long ``hair``."""
    shapes = _outlines(body_solids(model.identity), pose.body)
    torso = shapes["torso"]
    floor = max(height + 9.0, torso[:, 1].max())
    lowest = np.array([[torso[:, 0].max(), floor], [torso[:, 0].min(), floor]])
    shapes["torso"] = hull(np.concatenate([torso, lowest]))
    cranium = {"cap": head_solids(model.identity, model.expression)["cranium"]}
    shapes |= _outlines(cranium, pose, look.volume)
    if look.cut in _FALLING:
        low, w = _FALLING[look.cut]
        sides = np.array([[-w, -20, -80], [-w - 8, 60, -90], [-w - 4, low * 0.8, -85], [-w * 0.7, low, -80],
                          [w * 0.7, low, -80], [w + 4, low * 0.8, -85], [w + 8, 60, -90],
                          [w, -20, -80]])  # fmt: skip
        shapes["hair"] = hull(np.concatenate([curve(pose.project(sides)), shapes["cap"]]))
    return shapes


_FALLING = {"long": (180.0, 80.0), "bob": (100.0, 80.0), "headscarf": (135.0, 76.0)}
_SKULL = ("cranium", "midface", "jaw", "chin", "cheek-1", "cheek1", "bone-1", "bone1", "ridge-1", "ridge1",
          "temple-1", "temple1", "gonion-1", "gonion1")  # fmt: skip


def hull(points: Floats) -> Floats:
    """Convex hull of (n, 2) points, in order."""
    out: Floats = cv2.convexHull(points.astype(np.float32)).reshape(-1, 2).astype(np.float64)
    return out


def _shading(
    model: FaceModel, pose: Pose, light: Light, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Diffuse factor and gloss of each pixel of a canvas (h, w), from a coarse depth map of the head."""
    h, w = size
    step = _GRID_MM * pose.scale
    rows, cols = max(int(h / step) + 1, 4), max(int(w / step) + 1, 4)
    ys = ((np.arange(rows) + 0.5) * h / rows - 0.5 - pose.origin[1]) / pose.scale
    xs = ((np.arange(cols) + 0.5) * w / cols - 0.5 - pose.origin[0]) / pose.scale
    coarse = np.full((rows, cols), -400.0, np.float32)
    fine = coarse.copy()
    turn = pose.rotation
    for name, solid in head_solids(model.identity, model.expression).items():
        centre = turn @ np.array(solid.centre)
        q = turn @ np.diag(1 / np.array(solid.radii) ** 2) @ turn.T
        reach = max(solid.radii)
        i1, i2 = np.searchsorted(ys, [centre[1] - reach, centre[1] + reach])
        j1, j2 = np.searchsorted(xs, [centre[0] - reach, centre[0] + reach])
        if i1 == i2 or j1 == j2:
            continue
        dx, dy = (xs[j1:j2] - centre[0])[None, :], (ys[i1:i2] - centre[1])[:, None]
        half = q[0, 2] * dx + q[1, 2] * dy
        rest = q[0, 0] * dx**2 + 2 * q[0, 1] * dx * dy + q[1, 1] * dy**2 - 1
        root = half**2 - q[2, 2] * rest
        depth = centre[2] + (-half + np.sqrt(np.maximum(root, 0))) / q[2, 2]
        part = fine if name.startswith(("nose", "wing", "lip", "ball")) else coarse
        view = part[i1:i2, j1:j2]
        np.maximum(view, np.where(root > 0, depth, -400), out=view, casting="same_kind")
    known = (coarse > -399).astype(np.float32)
    total = cv2.GaussianBlur(coarse * known, (0, 0), 2.2)
    weight = cv2.GaussianBlur(known, (0, 0), 2.2)
    smooth = np.where(known > 0, total / np.maximum(weight, 1e-3), -120)
    depth = np.maximum(smooth, fine)
    depth = cv2.GaussianBlur(depth, (0, 0), 0.8)
    zx = cv2.Sobel(depth, cv2.CV_32F, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REPLICATE) / (
        w / cols / pose.scale
    )
    zy = cv2.Sobel(depth, cv2.CV_32F, 0, 1, scale=1 / 8, borderType=cv2.BORDER_REPLICATE) / (
        h / rows / pose.scale
    )
    norm = np.sqrt(1 + zx**2 + zy**2)
    d = np.array(light.direction) / np.linalg.norm(light.direction)
    facing = (d[2] - zx * d[0] - zy * d[1]) / norm
    diffuse = np.clip(0.25 + 0.75 * facing, 0, 1)
    shade = (1 - light.contrast) + light.contrast * diffuse * 1.25
    shade *= 0.82 + 0.18 / norm  # rims turn away from every light
    half_way = d + np.array([0.0, 0.0, 1.0])
    half_way /= np.linalg.norm(half_way)
    gloss = np.clip((half_way[2] - zx * half_way[0] - zy * half_way[1]) / norm, 0, 1) ** 24 * light.gloss
    shade = cv2.resize(shade.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
    return shade, cv2.resize((gloss * known).astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)


def draw_person(
    image: Bytes, model: FaceModel, pose: Pose, look: Look, light: Light, rng: np.random.Generator
) -> Bytes:
    """Draw a head and its shoulders into an image (h, w, 3); return the mask of them, (h, w) uint8.

    Small heads are drawn at a larger size and reduced.
    """
    cover = np.zeros(image.shape[:2], np.uint8)
    shapes = outline(model, pose)
    body = body_outline(model, pose, look, image.shape[0])
    _body(image, cover, pose, look, light, body, shapes["skull"])
    box = window(np.concatenate([body["cap"], shapes["skull"]]), image.shape, 18 * pose.scale)
    if box is None:
        return cover
    y1, y2, x1, x2 = box
    k = int(np.clip(np.ceil(1.0 / pose.scale), 1, 4))
    origin = ((pose.origin[0] - x1 + 0.5) * k - 0.5, (pose.origin[1] - y1 + 0.5) * k - 0.5)
    fine = replace(pose, scale=pose.scale * k, origin=origin)
    layer, over = _head(model, fine, look, light, rng, ((y2 - y1) * k, (x2 - x1) * k))
    if k > 1:
        layer = cv2.resize(layer, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
        over = cv2.resize(over, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
    blend(image[y1:y2, x1:x2], over, layer)
    np.maximum(cover[y1:y2, x1:x2], over, out=cover[y1:y2, x1:x2])
    return cover


def _body(
    image: Bytes, cover: Bytes, pose: Pose, look: Look, light: Light, body: dict[str, Floats], skull: Floats
) -> None:
    """Draw neck, shoulders and the hair behind them, with simple shading."""
    s = pose.scale
    dim = 1 - 0.3 * light.contrast
    skin, cloth = np.array(look.skin) * 0.86 * dim, np.array(look.cloth) * dim
    if "hair" in body:
        fill(image, body["hair"], np.array(look.hair) * 0.75 * dim)
        cv2.fillPoly(cover, [fixed(body["hair"])], 255, cv2.LINE_AA, 4)
    torso, neck = body["torso"], body["neck"]
    away = -np.sign(light.direction[0] + 1e-9)
    for points, colour, reach in ((torso, cloth, 60 * s), (neck, skin, 16 * s)):
        fill(image, points, colour)
        cv2.fillPoly(cover, [fixed(points)], 255, cv2.LINE_AA, 4)
        box = window(points, image.shape, 0)
        if box is None:
            continue
        y1, y2, x1, x2 = box
        x = np.arange(x1, x2, dtype=np.float32)
        middle, half = points[:, 0].mean(), np.ptp(points[:, 0]) / 2
        u = np.clip((x - middle) / max(half, 1.0), -1, 1)
        fade = 1 - (0.12 + 0.4 * light.contrast) * np.clip(0.5 + 0.75 * u * away, 0, 1) ** 1.5 - 0.25 * u**6
        part = image[y1:y2, x1:x2]
        mask = mask_of(points - (x1, y1), part.shape[:2])
        shaded = np.clip(np.asarray(colour)[None, :] * fade[:, None], 0, 255).astype(np.uint8)
        cv2.copyTo(
            np.ascontiguousarray(np.broadcast_to(shaded, part.shape)), (mask > 250).astype(np.uint8), part
        )
        if reach > 40 * s:
            base = torso[np.argmin(torso[:, 1])]
            fill(image, base + np.array([0, 6 * s]) + ring() * (52 * s, 26 * s), skin)
            collar = base + np.array([0, 6 * s]) + ring()[:17] * (53 * s, 27 * s)
            stroke(image, collar, np.array(look.cloth) * 0.55 * dim, 3 * s, feather=1.2 * s)
    box = window(skull, image.shape, 20 * s)
    if box is not None:
        y1, y2, x1, x2 = box
        k = max(int(4 * s), 1)
        small = np.zeros(((y2 - y1) // k + 1, (x2 - x1) // k + 1), np.uint8)
        cv2.fillPoly(small, [fixed((skull + np.array([0, 11 * s]) - (x1, y1)) / k)], 255, cv2.LINE_AA, 4)
        small = cv2.GaussianBlur(small, (0, 0), 6 * s / k)
        shade = cv2.resize(small, (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR)
        blend(image[y1:y2, x1:x2], np.minimum(shade, cover[y1:y2, x1:x2]), skin * 0.45, 0.55)


def _head(
    model: FaceModel, pose: Pose, look: Look, light: Light, rng: np.random.Generator, size: tuple[int, int]
) -> tuple[Bytes, Bytes]:
    """Draw a head on a canvas of ``size`` (h, w); return the canvas and the mask of the head."""
    s = pose.scale
    shapes = outline(model, pose)
    skull = shapes["skull"]
    cap = body_outline(model, pose, look, 0)["cap"]
    skin = np.array(look.skin)
    canvas = np.empty((*size, 3), np.uint8)
    canvas[:] = np.round(skin if look.cut == "bald" else look.hair).astype(np.uint8)
    cover = np.zeros(size, np.uint8)

    def both(points: Floats, colour: Colour) -> None:
        fill(canvas, points, colour)
        cv2.fillPoly(cover, [fixed(points)], 255, cv2.LINE_AA, 4)

    if look.cut != "bald":
        both(cap, look.hair)
    if look.cut not in _FALLING:
        for sign in (-1, 1):
            ear = patch(pose, (74 * sign * model.identity.face_width, 14, -78), (8, 0, 14), (0, 28, 4))
            both(ear, skin * 0.92)
            fill(canvas, ear.mean(0) + (ear - ear.mean(0)) * 0.55, skin * 0.68, opacity=0.6, feather=2 * s)
    both(skull, skin)
    paint_skin(canvas, model, pose, look, rng)
    shade, gloss = _shading(model, pose, light, size)
    box = window(skull, size, 0)
    if box is not None and look.grain > 0:
        y1, y2, x1, x2 = box
        shade[y1:y2, x1:x2] *= 1 + look.grain * crop_tile(noise_tile(), rng, y2 - y1, x2 - x1)
    if light.shadows:
        cast_shadows(shade, rng, light.shadows, s)
    lit = cv2.multiply(canvas, cv2.merge([shade] * 3), dtype=cv2.CV_32F)
    lit += cv2.merge([gloss * (0.35 * float(skin.mean()) + 70)] * 3)
    canvas = cv2.convertScaleAbs(lit)

    eye_light = _level(shade, pose.project(np.array([0.0, 4, 0])))
    for side in SIDES:
        eye = model.eyes[side]
        here = _level(shade, pose.project(eye.at(np.array(eye.length / 2), np.array(0.0))))
        paint_eye(canvas, eye, pose, look.eye, look.skin, 0.5 * here + 0.5 * eye_light)
    paint_brows(canvas, model, pose, look, rng, eye_light)
    if look.cut != "bald":
        paint_hair(canvas, cover, model, pose, look, rng, cap, skull, shade)
    if look.locks:
        paint_locks(canvas, pose, look, rng, eye_light)
    if look.glasses != "none":
        paint_glasses(canvas, model, pose, look)
    return canvas, cover


def _level(shade: NDArray[np.float32], at: Floats) -> float:
    y, x = (int(np.clip(round(v), 0, n - 1)) for v, n in zip(at[::-1], shade.shape, strict=True))
    return float(np.clip(shade[y, x], 0.25, 1.15))
