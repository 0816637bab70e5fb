"""Hair over the forehead, hats, headscarves and glasses."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.synthetic.geometry import FaceModel, Floats, Pose
from lidloop.synthetic.looks import Look
from lidloop.synthetic.paint import (
    Bytes,
    blend,
    crop_tile,
    curve,
    fill,
    hair_tile,
    mask_of,
    noise_tile,
    ring,
    stroke,
    strokes,
    superellipse,
    window,
)


def paint_hair(
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
    """Paint hair, cap or headscarf over the forehead, inside the outline of the head."""
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
    limit = cv2.convexHull(np.concatenate([cap, skull]).astype(np.float32)).reshape(-1, 2).astype(np.float64)
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


def paint_locks(canvas: Bytes, pose: Pose, look: Look, rng: np.random.Generator, light: float) -> None:
    """Paint locks of hair that fall from the hairline over the forehead, some as far as the eyes."""
    side = rng.choice([-1.0, 1.0])
    base = np.array(look.hair) * np.clip(light, 0.3, 1.2)
    spread = rng.uniform(8, 60)
    for _ in range(look.locks):
        x = side * rng.uniform(-15, 55)
        top = -74 - look.hairline
        end = np.array([x + side * rng.normal(14, 14), rng.uniform(-52, -8) if rng.random() < 0.8 else 20.0])
        end[0] = np.clip(end[0], -62, 62)
        middle = (np.array([x, top]) + end) / 2 + rng.normal(0, 6, 2)
        flat = curve(np.array([[x, top], middle, end]))
        depth = 10 - 0.012 * flat[:, 0] ** 2
        line = np.concatenate([flat, depth[:, None]], axis=1)
        half = rng.uniform(1.5, 7) * np.linspace(1, 0.15, len(line))[:, None]
        across = np.array([1.0, 0, 0])
        shape = pose.project(np.concatenate([line + across * half, (line - across * half)[::-1]]))
        fill(canvas, shape, base * rng.uniform(0.7, 1.2), opacity=float(rng.uniform(0.75, 1.0)),
             feather=0.5 * pose.scale)  # fmt: skip
    if pose.scale > 0.7:
        count = 4 * look.locks
        roots = np.stack(
            [side * rng.uniform(-20, 60, count), np.full(count, -74.0), np.full(count, 4.0)], axis=1
        )
        tips = roots + np.stack([rng.normal(0, spread / 2, count), rng.uniform(15, 60, count),
                                 np.zeros(count)], axis=1)  # fmt: skip
        strokes(canvas, pose.project(np.stack([roots, tips], axis=1)), base, 0.5 * pose.scale, opacity=0.7)


def lenses(model: FaceModel, pose: Pose, look: Look) -> list[Floats]:
    """Outlines of the two lenses in pixels."""
    shape = superellipse(ring(40), look.lens_power) * look.lens
    out = []
    for sign in (-1, 1):
        middle = sign * (model.identity.inner_half + model.identity.fissure / 2 + 1)
        x = middle + shape[:, 0]
        out.append(pose.project(np.stack([x, 3 + shape[:, 1], 12 - np.abs(x) * 0.28], axis=1)))
    return out


def paint_glasses(canvas: Bytes, model: FaceModel, pose: Pose, look: Look) -> None:
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
