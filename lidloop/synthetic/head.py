"""Drawing one head, neck and shoulders on a canvas of its own, with what it wears."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.synthetic.eyes import EyeLook, paint_eye
from lidloop.synthetic.geometry import SIDES, FaceModel, Floats, Pose, Solid, body_solids, head_solids
from lidloop.synthetic.paint import (
    Bytes,
    Colour,
    blend,
    crop_tile,
    curve,
    fill,
    fixed,
    hair_tile,
    mask_of,
    noise_tile,
    ring,
    stroke,
    strokes,
    window,
)

_GRID_MM = 3.5
RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Colours, hair and wear of a person. Lengths in mm, strengths 0…1."""

    skin: RGB = (214.0, 168.0, 140.0)
    lips: RGB = (178.0, 96.0, 92.0)
    hair: RGB = (60.0, 42.0, 30.0)
    brow: RGB = (60.0, 42.0, 30.0)
    brow_strength: float = 0.8
    brow_width: float = 1.0
    cut: str = "short"
    """``bald``, ``short``, ``fringe``, ``bob``, ``long``, ``cap`` or ``headscarf``."""
    hairline: float = 0.0
    volume: float = 1.08
    cloth: RGB = (70.0, 80.0, 110.0)
    blush: float = 0.25
    wrinkles: float = 0.2
    beard: float = 0.0
    moustache: float = 0.0
    freckles: float = 0.0
    glasses: str = "none"
    frame: RGB = (30.0, 28.0, 28.0)
    frame_width: float = 2.0
    lens: tuple[float, float] = (24.0, 19.0)
    lens_power: float = 3.0
    lens_tint: float = 0.05
    grain: float = 0.04
    eye: EyeLook = field(default_factory=EyeLook)


@dataclass(frozen=True)
class Light:
    """Light on a face: direction to it (x right, y down, z to the viewer), and how much is ambient."""

    direction: tuple[float, float, float] = (-0.35, -0.5, 0.8)
    contrast: float = 0.45
    gloss: float = 0.25


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


def _shading(model: FaceModel, pose: Pose, light: Light, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """Diffuse factor and gloss over a canvas (h, w), from a coarse depth map of the head."""
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
    half_way = d + (0, 0, 1)
    half_way /= np.linalg.norm(half_way)
    gloss = np.clip((half_way[2] - zx * half_way[0] - zy * half_way[1]) / norm, 0, 1) ** 24 * light.gloss
    shade = cv2.resize(shade.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
    return shade, cv2.resize((gloss * known).astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)


def draw_person(
    image: Bytes, model: FaceModel, pose: Pose, look: Look, light: Light, rng: np.random.Generator
) -> Bytes:
    """Draw a head and its shoulders into a picture (h, w, 3); return what they cover, (h, w) uint8.

    Small heads are drawn larger and averaged down.
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
    """Neck, shoulders and the hair behind them, lit by rule of thumb."""
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
            fill(image, base + (0, 6 * s) + ring() * (52 * s, 26 * s), skin)
            collar = base + (0, 6 * s) + ring()[:17] * (53 * s, 27 * s)
            stroke(image, collar, np.array(look.cloth) * 0.55 * dim, 3 * s, feather=1.2 * s)
    fill(image, skull + (0, 11 * s), skin * 0.45, opacity=0.55, feather=6 * s)


def _head(
    model: FaceModel, pose: Pose, look: Look, light: Light, rng: np.random.Generator, size: tuple[int, int]
) -> tuple[Bytes, Bytes]:
    """Draw a head on a canvas of ``size`` (h, w); return it and what of the canvas it covers."""
    s = pose.scale
    shapes = outline(model, pose)
    skull = shapes["skull"]
    cap = body_outline(model, pose, look, 0)["cap"]
    skin = np.array(look.skin)
    canvas = np.empty((*size, 3), np.uint8)
    canvas[:] = np.round(skin).astype(np.uint8)
    cover = np.zeros(size, np.uint8)

    def both(points: Floats, colour: Colour) -> None:
        fill(canvas, points, colour)
        cv2.fillPoly(cover, [fixed(points)], 255, cv2.LINE_AA, 4)

    if look.cut != "bald":
        both(cap, look.hair)
        canvas[:] = np.where((cover == 0)[..., None], np.round(np.array(look.hair)).astype(np.uint8), canvas)
    if look.cut not in _FALLING:
        for sign in (-1, 1):
            ear = _local(pose, (74 * sign * model.identity.face_width, 14, -78), (8, 0, 14), (0, 28, 4))
            both(ear, skin * 0.92)
            fill(canvas, ear.mean(0) + (ear - ear.mean(0)) * 0.55, skin * 0.68, opacity=0.6, feather=2 * s)
    both(skull, skin)
    _features(canvas, model, pose, look, rng)
    shade, gloss = _shading(model, pose, light, size)
    box = window(skull, size, 0)
    if box is not None and look.grain > 0:
        y1, y2, x1, x2 = box
        shade[y1:y2, x1:x2] *= 1 + look.grain * crop_tile(noise_tile(), rng, y2 - y1, x2 - x1)
    lit = cv2.multiply(canvas, cv2.merge([shade] * 3), dtype=cv2.CV_32F)
    lit += cv2.merge([gloss * (0.35 * float(skin.mean()) + 70)] * 3)
    canvas = cv2.convertScaleAbs(lit)

    eye_light = _level(shade, pose.project(np.array([0.0, 4, 0])))
    for side in SIDES:
        eye = model.eyes[side]
        here = _level(shade, pose.project(eye.at(np.array(eye.length / 2), np.array(0.0))))
        paint_eye(canvas, eye, pose, look.eye, look.skin, 0.5 * here + 0.5 * eye_light)
    _brows(canvas, model, pose, look, rng, eye_light)
    if look.cut != "bald":
        _front_hair(canvas, cover, model, pose, look, rng, cap, skull, shade)
    if look.glasses != "none":
        _glasses(canvas, model, pose, look)
    return canvas, cover


def _level(shade: NDArray[np.float32], at: Floats) -> float:
    y, x = (int(np.clip(round(v), 0, n - 1)) for v, n in zip(at[::-1], shade.shape, strict=True))
    return float(np.clip(shade[y, x], 0.25, 1.15))


def _local(pose: Pose, centre: Colour, u: Colour, v: Colour) -> Floats:
    """Projected ellipse around a point of the face frame with half axes ``u`` and ``v``."""
    unit = ring(24)
    return pose.project(np.array(centre) + unit[:, :1] * np.array(u) + unit[:, 1:] * np.array(v))


def _features(canvas: Bytes, model: FaceModel, pose: Pose, look: Look, rng: np.random.Generator) -> None:
    """Skin colour, nose and mouth: everything that the light falls on."""
    s, p = pose.scale, model.points
    skin = np.array(look.skin)
    red = skin * (1.0, 0.72, 0.70)
    for sign in (-1, 1):
        cheek = _local(pose, (40 * sign, 33, -4), (17, 0, -8 * sign), (0, 14, 0))
        fill(canvas, cheek, red, opacity=look.blush * 0.7, feather=6 * s)
        socket = _local(pose, (30 * sign, -6, -2), (17, 0, -5 * sign), (0, 8, 0))
        fill(canvas, socket, skin * 0.72, opacity=0.42, feather=4 * s)
        side = np.array([[9 * sign, 2, 4], [14 * sign, 20, 4], [16 * sign, 38, 4], [10 * sign, 34, 12],
                         [7 * sign, 15, 12]])  # fmt: skip
        fill(canvas, pose.project(side), skin * 0.72, opacity=0.3, feather=2.5 * s)
        n = model.identity.nose_width
        fold = np.array([[15 * n * sign, 40, 6], [22 * sign, 50, 4], [27 * sign, 60, 2], [29 * sign, 68, 0]])
        stroke(canvas, curve(pose.project(fold)), skin * 0.55, 1.6 * s, opacity=0.12 + 0.5 * look.wrinkles,
               feather=1.2 * s)  # fmt: skip
        dy = p[16, 1] - 48.5
        wing = np.array([[10.5 * n * sign, 34 + dy, 14], [14.2 * n * sign, 38 + dy, 10],
                         [13.6 * n * sign, 43.5 + dy, 10], [11 * n * sign, 45 + dy, 12]])  # fmt: skip
        stroke(canvas, curve(pose.project(wing)), skin * 0.45, 1.3 * s, opacity=0.5, feather=0.7 * s)
        hole = _local(pose, (6.6 * n * sign, 45 + dy, 15), (3.6 * n, -0.9 * sign, 0), (0.7 * sign, 1.7, 0))
        fill(canvas, hole, skin * 0.22, opacity=0.9, feather=0.6 * s)
        jowl = np.array([[-30 * sign, -50, 2], [-12 * sign, -53, 8], [8 * sign, -52.5, 8]])
        if look.wrinkles > 0.35:
            for k in range(3):
                stroke(canvas, curve(pose.project(jowl + (4 * k * sign, -8 * k, 0))), skin * 0.6, 1.0 * s,
                       opacity=0.5 * look.wrinkles, feather=0.8 * s)  # fmt: skip
    base = pose.project(p[14:19])
    stroke(canvas, curve(base), skin * 0.4, 1.2 * s, opacity=0.55, feather=0.6 * s)
    below = pose.project(np.concatenate([p[14:19], (p[14:19] + (0, 7, -3))[::-1]]))
    fill(canvas, below, skin * 0.62, opacity=0.32, feather=2.2 * s)
    bridge = pose.project(p[10:14] + (0, 0, 1))
    stroke(canvas, curve(bridge), np.minimum(skin * 1.18, 255), 4.5 * s, opacity=0.34, feather=2.2 * s)
    if look.beard > 0:
        _beard(canvas, model, pose, look, rng)
    if look.freckles > 0 and s > 0.8:
        for x, y in rng.normal((0, 24), (28, 11), (int(60 * look.freckles), 2)):
            dot = pose.project(np.array([x, y, 6 - abs(x) / 4])) + ring(8) * 0.9 * s
            fill(canvas, dot, skin * (0.75, 0.6, 0.5), opacity=0.5, feather=0.5 * s)
    _mouth(canvas, model, pose, look)


def _mouth(canvas: Bytes, model: FaceModel, pose: Pose, look: Look) -> None:
    s, p = pose.scale, model.points
    lips = np.array(look.lips)
    xy = pose.project(p)
    top = curve(xy[31:38])
    bottom = curve(xy[[37, 38, 39, 40, 41, 42, 31]])
    seam_top = curve(xy[[31, 43, 44, 45, 46, 47, 37]])
    seam_low = curve(xy[[37, 47, 48, 49, 50, 43, 31]])
    fill(canvas, np.concatenate([top, bottom]), lips)
    fill(canvas, np.concatenate([top, seam_top[::-1]]), lips * 0.82)
    shine = pose.project((p[39:42] + p[[48, 49, 50]]) / 2 + (0, 0.8, 0))
    stroke(canvas, shine, np.minimum(lips * 1.25 + 12, 255), 2.2 * s, opacity=0.4, feather=1.2 * s)
    gap = np.concatenate([seam_top, seam_low])
    if model.expression.mouth_open > 1.5:
        fill(canvas, gap, (44, 16, 18))
        teeth = (seam_top[4:-4] + (0, 0)).copy()
        height = min(0.55 * model.expression.mouth_open, 7.0) * s
        down = pose.rotation[:2, 1] / max(np.linalg.norm(pose.rotation[:2, 1]), 1e-6)
        edge = teeth + down * height * np.sin(np.linspace(0.1, np.pi - 0.1, len(teeth)))[:, None]
        fill(canvas, np.concatenate([teeth, edge[::-1]]), (226, 220, 208), opacity=0.92, feather=0.4 * s)
    else:
        fill(canvas, gap, lips * 0.3, opacity=0.9)
        stroke(canvas, seam_top, lips * 0.32, 0.9 * s, opacity=0.85, feather=0.3 * s)
    under = pose.project(p[39:42] + (0, 5, -3))
    stroke(canvas, curve(under), np.array(look.skin) * 0.6, 4 * s, opacity=0.3, feather=2.5 * s)


def _brows(
    canvas: Bytes, model: FaceModel, pose: Pose, look: Look, rng: np.random.Generator, light: float
) -> None:
    s = pose.scale
    colour = np.array(look.brow) * light
    for rows, sign in ((range(0, 5), -1), (range(9, 4, -1), 1)):
        line = curve(model.points[list(rows)])  # outer to inner
        t = np.linspace(0, 1, len(line))[:, None]
        half = (
            (0.9 + 2.6 * np.minimum(t * 1.6, 1))
            * look.brow_width
            * (1 - 0.25 * np.maximum(t - 0.85, 0) / 0.15)
        )
        up = np.array([0.0, -1.0, 0.0])
        shape = pose.project(np.concatenate([line + up * half, (line - up * half)[::-1]]))
        fill(canvas, shape, colour, opacity=0.72 * look.brow_strength, feather=0.8 * s)
        if s < 0.9:
            continue
        count = int(46 * look.brow_strength) + 8
        where = rng.uniform(0.02, 0.98, count)
        offset = rng.uniform(-1, 1, count)
        length = rng.uniform(4.5, 7.5, count)
        k = (where * (len(line) - 1)).astype(int)
        root = line[k] - up * (half[k, 0] * offset * 0.9)[:, None]
        tip = root + np.stack(
            [sign * 0.75 * length, -length * (0.55 * where - 0.05 - 0.25 * offset), np.zeros(count)], axis=1
        )
        inside = np.clip(tip[:, 1] - line[k, 1], -half[k, 0] * 1.2, half[k, 0] * 1.2)
        tip[:, 1] = line[k, 1] + inside + (line[np.maximum(k - 6, 0), 1] - line[k, 1]) * 0.8
        strokes(
            canvas, pose.project(np.stack([root, tip], axis=1)), colour, 0.4 * s,
            opacity=0.6 * look.brow_strength,
        )  # fmt: skip


def _beard(canvas: Bytes, model: FaceModel, pose: Pose, look: Look, rng: np.random.Generator) -> None:
    s, p = pose.scale, model.points
    drop = model.identity.chin + 0.75 * model.expression.mouth_open
    mouth = p[31:43].mean(axis=0)
    area = np.array([[-66, 20, -60], [-58, 40, -36], [-42, 58, -14], [-28, 62, 2], [-14, mouth[1] - 14, 12],
                     [0, mouth[1] - 15, 16], [14, mouth[1] - 14, 12], [28, 62, 2], [42, 58, -14],
                     [58, 40, -36], [66, 20, -60], [58, 84 + drop, -50], [34, 112 + drop, -20],
                     [0, 124 + drop, 0], [-34, 112 + drop, -20], [-58, 84 + drop, -50]])  # fmt: skip
    points = pose.project(area)
    box = window(points, canvas.shape, 10 * s)
    if box is None:
        return
    y1, y2, x1, x2 = box
    mask = mask_of(points - (x1, y1), (y2 - y1, x2 - x1))
    mask = cv2.GaussianBlur(mask, (0, 0), 3.5 * s)
    rough = np.clip(0.75 + 0.3 * crop_tile(noise_tile(), rng, y2 - y1, x2 - x1), 0.15, 1)
    mask = np.round(mask * rough).astype(np.uint8)
    blend(canvas[y1:y2, x1:x2], mask, look.brow, look.beard)


def _front_hair(
    canvas: Bytes,
    cover: Bytes,
    model: FaceModel,
    pose: Pose,
    look: Look,
    rng: np.random.Generator,
    cap: Floats,
    skull: Floats,
    shade: NDArray[np.float32],
) -> None:
    """Hair, cap or scarf over the forehead, inside the head's outline."""
    w = model.identity.face_width
    top = -72 - look.hairline
    if look.cut in ("fringe",):
        top = -34 - 0.3 * look.hairline
    if look.cut == "cap":
        top = -46.0
    low = {"short": 8.0, "fringe": 22.0, "bob": 95.0, "long": 110.0, "cap": -18.0, "headscarf": 118.0}[
        look.cut
    ]
    wide = 1.02 if look.cut in ("bob", "long", "headscarf") else 1.0
    half = [[-72 * w * wide, low, -52], [-66 * w * wide, min(low, 30) * 0.5 - 12, -46], [-58 * w, -42, -24],
            [-34 * w, top * 0.93, -4], [0, top, 4]]  # fmt: skip
    if look.cut == "cap":
        half = [[-75 * w, low, -50], [-68 * w, -34, -32], [-52 * w, -43, -8], [-28 * w, -46, 6], [0, -47, 10]]
    line3 = np.array(half + [[-x, y, z] for x, y, z in half[-2::-1]])
    if look.cut in ("short", "fringe"):
        line3[:, 1] += rng.normal(0, 1.6, len(line3))
    line = curve(pose.project(line3), steps=8)
    up = pose.rotation[:2, 1] * -260 * pose.scale
    side = pose.rotation[:2, 0] * 60 * pose.scale
    region = np.concatenate([line, [line[-1] + side, line[-1] + side + up, line[0] - side + up,
                                    line[0] - side]])  # fmt: skip
    limit = hull(np.concatenate([cap, skull]))
    box = window(limit, canvas.shape, 3)
    if box is None:
        return
    y1, y2, x1, x2 = box
    size = (y2 - y1, x2 - x1)
    mask = np.minimum(mask_of(region - (x1, y1), size), mask_of(limit - (x1, y1), size))
    soft = 1.6 * pose.scale if look.cut not in ("cap", "headscarf") else 0.3
    if soft > 0.4:
        mask = np.minimum(cv2.GaussianBlur(mask, (0, 0), soft), mask_of(limit - (x1, y1), size))
    colour = np.array(look.hair, np.float32)
    tile = hair_tile() if look.cut not in ("cap", "headscarf") else noise_tile()
    strength = 0.22 if look.cut not in ("cap", "headscarf") else 0.05
    tone = 1 + strength * crop_tile(tile, rng, *size)
    tone = tone * np.clip(shade[y1:y2, x1:x2], 0.3, 1.4)
    painted = np.clip(colour * tone[..., None], 0, 255).astype(np.uint8)
    blend(canvas[y1:y2, x1:x2], mask, painted)
    np.maximum(cover[y1:y2, x1:x2], mask, out=cover[y1:y2, x1:x2])
    if look.cut == "cap":
        brim = np.array([[-48, -44, 6], [-30, -40, 30], [0, -38, 44], [30, -40, 30], [48, -44, 6],
                         [28, -50, 14], [0, -52, 18], [-28, -50, 14]])  # fmt: skip
        fill(canvas, curve(pose.project(brim), closed=True), colour * 0.7)


def lenses(model: FaceModel, pose: Pose, look: Look) -> list[Floats]:
    """Outlines of the two lenses in pixels."""
    unit = ring(40)
    power = 2.0 / look.lens_power
    shape = np.sign(unit) * np.abs(unit) ** power * look.lens
    out = []
    for sign in (-1, 1):
        middle = sign * (model.identity.inner_half + model.identity.fissure / 2 + 1)
        x = middle + shape[:, 0]
        out.append(pose.project(np.stack([x, 3 + shape[:, 1], 12 - np.abs(x) * 0.28], axis=1)))
    return out


def _glasses(canvas: Bytes, model: FaceModel, pose: Pose, look: Look) -> None:
    s = pose.scale
    width = max(look.frame_width * s, 0.8)
    for lens, sign in zip(lenses(model, pose, look), (-1, 1), strict=True):
        dark = (24, 22, 26) if look.glasses == "sun" else (150, 170, 180)
        fill(canvas, lens, dark, opacity=look.lens_tint, feather=0.5)
        x = sign * (model.identity.inner_half + model.identity.fissure / 2 + look.lens[0])
        hinge = np.array([[x, -4, 12 - abs(x) * 0.28], [sign * 73, -3, -70]])
        stroke(canvas, pose.project(hinge), look.frame, width)
        stroke(canvas, lens, look.frame, width, closed=True)
        if look.glasses == "sun":
            glare = lens.mean(axis=0) + (lens - lens.mean(axis=0)) * (0.5, 0.2) - (0, 5 * s)
            fill(canvas, glare, (210, 220, 230), opacity=0.2, feather=2 * s)
    inner = model.identity.inner_half + model.identity.fissure / 2 + 1 - look.lens[0]
    bridge = np.array([[-inner, -1, 9.0], [0, -4.5, 13], [inner, -1, 9]])
    stroke(canvas, curve(pose.project(bridge)), look.frame, width)
