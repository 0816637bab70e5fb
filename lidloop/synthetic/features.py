"""Nose, mouth, brows and beard, painted from the landmarks."""

from __future__ import annotations

import cv2
import numpy as np

from lidloop.synthetic.geometry import FaceModel, Floats, Pose
from lidloop.synthetic.looks import Look
from lidloop.synthetic.paint import (
    Bytes,
    Colour,
    blend,
    crop_tile,
    curve,
    fill,
    mask_of,
    noise_tile,
    ring,
    stroke,
    strokes,
    window,
)


def patch(pose: Pose, centre: Colour, u: Colour, v: Colour) -> Floats:
    """Projected ellipse around a point of the face frame with semi-axes ``u`` and ``v``, (24, 2) pixels."""
    unit = ring(24)
    return pose.project(np.array(centre) + unit[:, :1] * np.array(u) + unit[:, 1:] * np.array(v))


def paint_skin(canvas: Bytes, model: FaceModel, pose: Pose, look: Look, rng: np.random.Generator) -> None:
    """Paint skin, nose and mouth, before shading."""
    s, p = pose.scale, model.points
    skin = np.array(look.skin)
    red = skin * (1.0, 0.72, 0.70)
    for sign in (-1, 1):
        cheek = patch(pose, (40 * sign, 33, -4), (17, 0, -8 * sign), (0, 14, 0))
        fill(canvas, cheek, red, opacity=look.blush * 0.7, feather=6 * s)
        socket = patch(pose, (30 * sign, -6, -2), (17, 0, -5 * sign), (0, 8, 0))
        fill(canvas, socket, skin * 0.72, opacity=0.42, feather=4 * s)
        side = np.array([[9 * sign, 2, 4], [14 * sign, 20, 4], [16 * sign, 38, 4], [10 * sign, 34, 12],
                         [7 * sign, 15, 12]])  # fmt: skip
        fill(canvas, pose.project(side), skin * 0.72, opacity=0.3, feather=2.5 * s)
        n = model.identity.nose_width
        fold = np.array([[15 * n * sign, 40, 6], [22 * sign, 50, 4], [27 * sign, 60, 2], [29 * sign, 68, 0]])
        deep = min(0.12 + 0.5 * look.wrinkles + look.folds, 0.95)
        stroke(canvas, curve(pose.project(fold)), skin * 0.55, 1.6 * s, opacity=deep, feather=1.2 * s)
        dy = p[16, 1] - 48.5
        wing = np.array([[10.5 * n * sign, 34 + dy, 14], [14.2 * n * sign, 38 + dy, 10],
                         [13.6 * n * sign, 43.5 + dy, 10], [11 * n * sign, 45 + dy, 12]])  # fmt: skip
        stroke(canvas, curve(pose.project(wing)), skin * 0.45, 1.3 * s, opacity=0.5, feather=0.7 * s)
        hole = patch(pose, (6.6 * n * sign, 45 + dy, 15), (3.6 * n, -0.9 * sign, 0), (0.7 * sign, 1.7, 0))
        fill(canvas, hole, skin * 0.22, opacity=0.9, feather=0.6 * s)
        frown = np.array([[-30 * sign, -50, 2], [-12 * sign, -53, 8], [8 * sign, -52.5, 8]])
        if look.wrinkles > 0.35:
            for k in range(3):
                line = curve(pose.project(frown + np.array([4 * k * sign, -8 * k, 0])))
                stroke(canvas, line, skin * 0.6, s, opacity=0.5 * look.wrinkles, feather=0.8 * s)
    base = pose.project(p[14:19])
    stroke(canvas, curve(base), skin * 0.4, 1.2 * s, opacity=0.55, feather=0.6 * s)
    below = pose.project(np.concatenate([p[14:19], (p[14:19] + np.array([0, 7, -3]))[::-1]]))
    fill(canvas, below, skin * 0.62, opacity=0.32, feather=2.2 * s)
    bridge = pose.project(p[10:14] + np.array([0, 0, 1]))
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
    shine = pose.project((p[39:42] + p[[48, 49, 50]]) / 2 + np.array([0, 0.8, 0]))
    stroke(canvas, shine, np.minimum(lips * 1.25 + 12, 255), 2.2 * s, opacity=0.4, feather=1.2 * s)
    gap = np.concatenate([seam_top, seam_low])
    if model.expression.teeth > 1.0:
        _grin(canvas, model, pose, gap, seam_top)
    elif model.expression.mouth_open > 1.5:
        fill(canvas, gap, (44, 16, 18))
        teeth = seam_top[4:-4]
        height = min(0.55 * model.expression.mouth_open, 7.0) * s
        down = pose.rotation[:2, 1] / np.linalg.norm(pose.rotation[:2, 1])
        edge = teeth + down * height * np.sin(np.linspace(0.1, np.pi - 0.1, len(teeth)))[:, None]
        fill(canvas, np.concatenate([teeth, edge[::-1]]), (226, 220, 208), opacity=0.92, feather=0.4 * s)
    else:
        fill(canvas, gap, lips * 0.3, opacity=0.9)
        stroke(canvas, seam_top, lips * 0.32, 0.9 * s, opacity=0.85, feather=0.3 * s)
    under = pose.project(p[39:42] + np.array([0, 5, -3]))
    stroke(canvas, curve(under), np.array(look.skin) * 0.6, 4 * s, opacity=0.3, feather=2.5 * s)


def _grin(canvas: Bytes, model: FaceModel, pose: Pose, gap: Floats, seam: Floats) -> None:
    """Paint a mouth whose raised upper lip shows the teeth; ``seam`` is the inner edge of that lip."""
    s, how = pose.scale, model.expression
    fill(canvas, gap, (52, 20, 22))
    mask = mask_of(gap, canvas.shape[:2])
    box = window(gap, canvas.shape, 1)
    if box is None:
        return
    y1, y2, x1, x2 = box
    height = min(how.teeth + 0.45 * how.mouth_open + 1.5, 10.5) * s
    down = pose.rotation[:2, 1] / np.linalg.norm(pose.rotation[:2, 1])
    bow = np.sin(np.linspace(0.15, np.pi - 0.15, len(seam)))[:, None] ** 0.5
    row = np.concatenate([seam - down * s, (seam + down * height * bow)[::-1]])
    layer = canvas[y1:y2, x1:x2].copy()
    fill(layer, row - (x1, y1), (232, 226, 212), opacity=0.95, feather=0.35 * s)
    if s > 0.9:
        for k in range(-4, 5):
            top = seam[len(seam) // 2] + pose.rotation[:2, 0] * (k + 0.0) * 7.5 * s
            line = np.stack([top - down * s, top + down * height * 0.9]) - (x1, y1)
            stroke(layer, line, (150, 136, 124), 0.6 * s, opacity=0.4)
    blend(canvas[y1:y2, x1:x2], mask[y1:y2, x1:x2], layer)


def paint_brows(
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
    if look.beard_kind == "goatee":
        area = np.array([[-27, mouth[1] - 4, 2], [-17, mouth[1] - 12, 10], [0, mouth[1] - 14, 16],
                         [17, mouth[1] - 12, 10], [27, mouth[1] - 4, 2], [26, 96 + drop, -6],
                         [16, 114 + drop, -4], [0, 120 + drop, 0], [-16, 114 + drop, -4],
                         [-26, 96 + drop, -6]])  # fmt: skip
    elif look.beard_kind == "moustache":
        area = np.array([[-28, mouth[1] + 3, 2], [-22, mouth[1] - 9, 8], [-7, mouth[1] - 17, 15],
                         [7, mouth[1] - 17, 15], [22, mouth[1] - 9, 8], [28, mouth[1] + 3, 2],
                         [12, mouth[1] - 3, 14], [-12, mouth[1] - 3, 14]])  # fmt: skip
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
