"""Random eyes with exact lid margins, to train the second look on.

They are wilder than the faces of ``lidloop.synthetic``: skin folds, hooded and single lids, heavy lashes and
make-up, dark and reddened whites, shade under the lid and in the socket, frames, hair and reflexes, all light
and colour casts, blur, noise and compression; so that what is learned is where the lid ends and the globe
begins, not how one painter draws it. Patches have no eye in some, to learn what is none.

Everything is in pixels of the patch (``lidloop.eyes.patch``); mm below means 2.5 of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.eyes.patch import HEIGHT, WIDTH
from lidloop.eyes_training.canvas import F64, SHARES, Canvas, noise, random_colour, sample_shape, skin_colour
from lidloop.eyes_training.painting import (
    paint_clutter,
    paint_corners,
    paint_folds,
    paint_globe,
    paint_margins,
    paint_skin,
)
from lidloop.synthetic.paint import motion_kernel


@dataclass(frozen=True, slots=True, eq=False)
class EyeSample:
    """A patch and its ground truth.

    Attributes:
        patch: (64, 128, 3) uint8.
        upper, lower: (128,) row of each margin at every column; NaN beyond the canthi.
        canthi: (2, 2) x, y of the outer and the inner one.
        iris: x, y of the pupil centre, and the radius.
        trust: 1 if an eye can be measured, 0 if there is none, or most of it is covered.
    """

    patch: NDArray[np.uint8]
    upper: F64
    lower: F64
    canthi: F64
    iris: F64
    trust: float


def degrade(pixels: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change light, colour, sharpness, resolution, noise and compression of a patch (64, 128, 3) in 0…255."""
    x = np.clip(pixels, 0, 255).astype(np.float32) / 255
    x = x ** float(np.exp(rng.normal(0, 0.3)))
    x = x * (1 + 0.2 * rng.normal(0, 1) * noise(rng, 2, 3)[..., None]) if rng.random() < 0.5 else x
    grey = x.mean(axis=2, keepdims=True)
    colourful = 0.0 if rng.random() < 0.12 else rng.uniform(0.3, 1.5)
    x = grey + (x - grey) * colourful
    x = x * np.exp(rng.normal(0, 0.12 if rng.random() < 0.85 else 0.35, 3)).astype(np.float32)
    x = x * np.exp(rng.normal(0, 0.4)) + rng.uniform(-0.08, 0.12)
    x = np.clip(x, 0, 1.0 if rng.random() < 0.7 else 4.0)
    sigma = rng.uniform(0.0, 0.9) if rng.random() < 0.75 else rng.uniform(0.9, 5.0)
    if sigma > 0.2:
        x = cv2.GaussianBlur(x, (0, 0), sigma)
    if rng.random() < 0.08:
        kernel = motion_kernel(int(rng.integers(3, 8)), float(rng.uniform(0, np.pi)))
        x = cv2.filter2D(x, -1, kernel, borderType=cv2.BORDER_REFLECT)
    if rng.random() < 0.55:
        small = rng.uniform(0.25, 1.0)
        size = (max(int(WIDTH * small), 8), max(int(HEIGHT * small), 8))
        x = cv2.resize(x, size, interpolation=cv2.INTER_AREA)
    if rng.random() < 0.3:
        x = x + rng.uniform(0.1, 0.8) * (x - cv2.GaussianBlur(x, (0, 0), 1.0))  # a camera's sharpening
    x = x + rng.standard_normal(x.shape, dtype=np.float32) * rng.uniform(0, 0.04) * (rng.random() < 0.7)
    out = np.clip(x * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        _, code = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 96))])
        out = cv2.imdecode(code, cv2.IMREAD_COLOR)
    if out.shape[:2] != (HEIGHT, WIDTH):
        out = cv2.resize(
            out, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
        )
    return np.asarray(out, dtype=np.uint8)


def draw_eye(rng: np.random.Generator) -> EyeSample:
    """Draw one random eye; one of ten patches has none."""
    skin = skin_colour(rng)
    shape = sample_shape(rng)
    canvas = Canvas(rng, shape, skin)
    paint_skin(canvas)
    if rng.random() < 0.1:
        return _no_eye(canvas)
    paint_folds(canvas)
    paint_globe(canvas)
    paint_margins(canvas)
    if rng.random() < 0.7:
        paint_corners(canvas)
    hidden = paint_clutter(canvas)
    patch = degrade(canvas.pixels, rng)
    xs = np.arange(WIDTH, dtype=np.float64)
    curves = [canvas.place(SHARES * shape.length, curve) for curve in (shape.upper, shape.lower)]
    upper, lower = (np.interp(xs, c[:, 0], c[:, 1], left=np.nan, right=np.nan) for c in curves)
    centre = canvas.place(np.array([shape.pupil[0]]), np.array([shape.pupil[1]]))[0]
    iris = np.array([*centre, shape.radius * canvas.zoom])
    return EyeSample(patch, upper, lower, curves[0][[0, -1]], iris, float(hidden < 0.3))


def _no_eye(canvas: Canvas) -> EyeSample:
    """Draw a patch without an eye: skin, brow, folds, hair or a dark lens."""
    rng = canvas.rng
    for _ in range(int(rng.integers(0, 5))):
        curve = canvas.b - rng.normal(0, 6) - rng.normal(0, 6) * (canvas.t - 0.5) ** 2
        canvas.lay(
            random_colour(rng, 5, 240, 0.2),
            np.exp(-((curve / rng.uniform(0.3, 3)) ** 2)) * rng.uniform(0.1, 1),
        )
    if rng.random() < 0.4:
        canvas.lay(random_colour(rng, 3, 60, 0.2), np.full((HEIGHT, WIDTH), rng.uniform(0.7, 0.97)))
    paint_clutter(canvas)
    nothing = np.full(WIDTH, np.nan)
    return EyeSample(
        degrade(canvas.pixels, rng), nothing, nothing.copy(), np.full((2, 2), np.nan), np.full(3, np.nan), 0.0
    )
