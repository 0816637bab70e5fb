"""Backgrounds, round distractors, and objects that cover faces."""

from __future__ import annotations

import cv2
import numpy as np

from lidloop.synthetic.geometry import FaceModel, Floats, Pose
from lidloop.synthetic.paint import Bytes, crop_tile, curve, fill, fixed, hair_tile, noise_tile, ring, stroke


def background(rng: np.random.Generator, size: tuple[int, int], detail: float) -> Bytes:
    """Draw a background of ``size`` (width, height): gradient, texture and random shapes."""
    w, h = size
    n = int(rng.integers(2, 6))
    base = rng.uniform(20, 235, 3)
    grid = np.clip(base + rng.normal(0, 30 * detail, (n, n, 3)) + rng.normal(0, 14, (n, n, 1)), 0, 255)
    image = cv2.resize(grid.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    out: Bytes = np.clip(image, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 28) * detail)):
        _clutter(out, rng, w, h)
    if rng.random() < 0.25 * detail:
        _stripes(out, rng, w, h)
    if rng.random() < 0.6:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.5, 6)))
    if rng.random() < 0.7:
        tile = noise_tile() if rng.random() < 0.7 else hair_tile()
        texture = cv2.resize(crop_tile(tile, rng, 256, 256), size, interpolation=cv2.INTER_LINEAR)
        texture *= float(rng.uniform(1, 22)) * detail
        out = np.clip(out + texture[..., None], 0, 255).astype(np.uint8)
    return out


def _clutter(image: Bytes, rng: np.random.Generator, w: int, h: int) -> None:
    colour = rng.uniform(5, 250, 3)
    centre = rng.uniform((0, 0), (w, h))
    reach = np.exp(rng.uniform(np.log(6), np.log(0.35 * w)))
    kind = rng.integers(0, 5)
    if kind == 0:
        angle, ratio = rng.uniform(0, np.pi), rng.uniform(0.15, 1)
        box = np.array([[-1, -ratio], [1, -ratio], [1, ratio], [-1, ratio]]) * reach
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        fill(image, box @ turn.T + centre, colour)
    elif kind == 1:
        fill(image, ring() * reach * rng.uniform(0.3, 1, 2) + centre, colour)
    elif kind == 2:
        points = curve(centre + rng.normal(0, reach, (5, 2)))
        cv2.polylines(image, [fixed(points)], False, colour.tolist(), int(rng.integers(1, 9)), cv2.LINE_AA, 4)
    elif kind == 3:
        blob = curve(centre + ring(8) * reach * rng.uniform(0.4, 1, (8, 1)), closed=True)
        fill(image, blob, colour)
    else:
        wide = rng.uniform(8, 60)
        top = 0.0 if rng.random() < 0.5 else centre[1]
        box = np.array([[0, top], [wide, top], [wide, top + h], [0, top + h]]) + np.array([centre[0], 0])
        fill(image, box, colour)


def _stripes(image: Bytes, rng: np.random.Generator, w: int, h: int) -> None:
    """Draw a regular pattern such as bricks or blinds."""
    step, thick = int(rng.integers(8, 50)), int(rng.integers(1, 6))
    colour = rng.uniform(10, 245, 3).tolist()
    across = bool(rng.random() < 0.5)
    for k in range(0, h, step):
        cv2.line(image, (0, k), (w, k), colour, thick, cv2.LINE_AA)
        if across:
            shift = step if (k // step) % 2 else 0
            for x in range(shift, w, 2 * step):
                cv2.line(image, (x, k), (x, k + step), colour, thick, cv2.LINE_AA)


def distractor(image: Bytes, rng: np.random.Generator, centre: Floats, r: float) -> None:
    """Draw a round object that is not a face: ball, clock, button, plate, lamp or flower."""
    colour = rng.uniform(30, 245, 3)
    if rng.random() < 0.35:
        colour = np.array([205.0, 160, 130]) * rng.uniform(0.5, 1.15)
    body = ring(40) * r * (1, rng.uniform(0.85, 1.3)) + centre
    fill(image, body, np.clip(colour, 0, 255))
    lit = centre + (ring() * 0.55 - 0.25) * r
    fill(image, lit, np.clip(colour * 1.3 + 10, 0, 255), opacity=0.5, feather=0.25 * r)
    kind = rng.integers(0, 6)
    dark = np.clip(colour * rng.uniform(0.1, 0.5), 0, 255)
    if kind == 0:
        for hour in range(12):
            d = np.array([np.cos(hour * np.pi / 6), np.sin(hour * np.pi / 6)])
            fill(image, centre + d * r * 0.82 + ring(10) * r * 0.05, dark)
        for reach in (0.45, 0.7):
            angle = rng.uniform(0, 2 * np.pi)
            tip = centre + reach * r * np.array([np.cos(angle), np.sin(angle)])
            stroke(image, np.stack([centre, tip]), dark, max(int(r * 0.05), 1))
    elif kind == 1:
        holes = rng.choice([2, 4])
        for at in np.array([(-0.28, -0.2), (0.28, -0.2), (-0.28, 0.25), (0.28, 0.25)])[:holes]:
            fill(image, centre + at * r + ring(14) * r * rng.uniform(0.08, 0.14), dark)
    elif kind == 2:
        for k in range(3):
            arc = centre + ring(40)[2 + 10 * k : 12 + 10 * k] * r * rng.uniform(0.4, 0.95)
            cv2.polylines(image, [fixed(arc)], False, dark.tolist(), max(int(r * 0.05), 1), cv2.LINE_AA, 4)
    elif kind == 3:
        fill(image, ring() * r * 0.62 + centre, np.clip(colour * 0.85, 0, 255))
        fill(image, ring() * r * 0.2 + centre + rng.normal(0, 0.2 * r, 2), dark)
    elif kind == 4:
        for k in range(7):
            angle = 2 * np.pi * k / 7
            petal = centre + r * 0.7 * np.array([np.cos(angle), np.sin(angle)])
            fill(image, petal + ring(16) * r * 0.34, np.clip(colour * (1.1, 0.8, 0.9), 0, 255))
        fill(image, ring() * r * 0.36 + centre, (220, 190, 60))


def occluder(
    kind: str, image: Bytes, model: FaceModel, pose: Pose, rng: np.random.Generator, skin: Floats
) -> Bytes:
    """Draw a ``mask``, ``hand``, ``scarf`` or ``object`` over a face; return the mask of it, (h, w) uint8."""
    s = pose.scale
    size = image.shape[:2]
    cover = np.zeros(size, np.uint8)

    def shape(points: Floats, colour: Floats) -> None:
        fill(image, points, np.clip(colour, 0, 255))
        cv2.fillPoly(cover, [fixed(points)], 255, cv2.LINE_AA, 4)

    if kind == "mask":
        top = rng.uniform(16, 26)
        edge = np.array([[-60, top + 6, -40], [-30, top + 2, 2], [0, top - 4, 24], [30, top + 2, 2],
                         [60, top + 6, -40], [57, 72, -36], [34, 112, -8], [0, 122, 6], [-34, 112, -8],
                         [-57, 72, -36]])  # fmt: skip
        colour = np.array(
            [[150, 195, 215], [235, 238, 240], [40, 44, 50], [180, 205, 180]][rng.integers(0, 4)]
        )
        shape(curve(pose.project(edge), closed=True), colour.astype(np.float64) * rng.uniform(0.75, 1.05))
        for k in range(3):
            y = top + 24 + 18 * k
            pleat = pose.project(np.array([[-52, y + 3, -25], [0, y, 24], [52, y + 3, -25]]))
            cv2.polylines(image, [fixed(curve(pleat))], False, (colour * 0.7).tolist(), max(round(s), 1),
                          cv2.LINE_AA, 4)  # fmt: skip
        return cover
    if kind == "scarf":
        y = rng.uniform(52, 66)
        edge = np.array([[-75, y + 4, -50], [-30, y - 2, 8], [0, y, 26], [30, y - 2, 8], [75, y + 4, -50],
                         [95, 150, -50], [0, 175, 10], [-95, 150, -50]])  # fmt: skip
        shape(curve(pose.project(edge), closed=True), rng.uniform(20, 235, 3))
        return cover
    side = rng.choice([-1.0, 1.0])
    target = np.array([side * rng.uniform(24, 60), rng.uniform(-20, 90), 30.0])
    at = pose.project(target)
    angle = rng.uniform(-0.9, 0.9)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if kind == "hand":
        tone = skin * rng.uniform(0.8, 1.05)
        flip = np.array([side, 1.0])
        palm = curve(np.array([[18, 20], [24, 70], [62, 84], [88, 60], [84, 16], [50, 4.0]]), closed=True)
        arm = np.array([[40, 70], [92, 52], [150, 240], [92, 250.0]])
        parts = [arm, palm]
        for k in range(4):
            root = np.array([26 + 17 * k, 20.0 + 3 * abs(k - 1.5)])
            tip = root + np.array([-16 + 7 * k + rng.normal(0, 3), -rng.uniform(44, 66)])
            along = (tip - root) / np.linalg.norm(tip - root)
            across = np.array([-along[1], along[0]])
            width = 8.2
            bow = np.linspace(np.pi, 0, 10)
            end = tip + width * (np.cos(bow)[:, None] * across * -1 + np.sin(bow)[:, None] * along)
            parts.append(np.concatenate([[root + across * width], end, [root - across * width]]))
        for k, part in enumerate(parts):
            points = (part * flip * s) @ turn.T + at
            fill(image, points + np.array([0, 2 * s]), tone * 0.45, opacity=0.6, feather=1.2 * s)
            shape(points, tone * (0.97 + 0.02 * (k % 3)))
        return cover
    half = np.array([rng.uniform(16, 40), rng.uniform(25, 60)]) * s
    corner = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1.0]])
    outline = corner * half if rng.random() < 0.6 else ring() * half
    colour = rng.uniform(10, 240, 3)
    shape(outline @ turn.T + at, colour)
    fill(image, (outline * 0.7) @ turn.T + at, np.clip(colour + rng.normal(0, 50, 3), 0, 255))
    return cover
