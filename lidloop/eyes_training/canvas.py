"""Shape of a random eye, and the canvas that it is painted on; millimetres in the eye's frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.eyes.patch import HEIGHT, WIDTH
from lidloop.synthetic.geometry import lid_arch
from lidloop.synthetic.paint import line_mask

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
PX_PER_MM: Final = 2.5
SHARES: Final = np.linspace(0.0, 1.0, 257)
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Curves of an eye over ``SHARES`` (outer to inner canthus), mm in its frame: x inwards, y down."""

    length: float
    upper: F64
    lower: F64
    pupil: tuple[float, float]
    radius: float


def _rise(p: float, q: float) -> F64:
    """Arch of a lid over ``SHARES``: 0 at both ends, 1 at the peak."""
    out = lid_arch(np.clip(SHARES, 1e-6, 1 - 1e-6), p, q)
    out[0] = out[-1] = 0.0
    return out


def sample_shape(rng: np.random.Generator) -> Shape:
    """Sample a shape from closed to wide open; the arches vary more than in people."""
    length = rng.uniform(21, 33)
    rise_at_outer = rng.normal(1.5, 2.0)  # the outer canthus usually stands above the inner one
    line = rise_at_outer * (SHARES - 1.0)
    bumps = sum(rng.normal(0, 0.035) * np.sin((k + 1) * np.pi * SHARES) for k in (1, 2, 3))
    arch_up = _rise(rng.uniform(0.5, 1.1), rng.uniform(0.5, 1.1)) * (1 + bumps)
    bumps = sum(rng.normal(0, 0.035) * np.sin((k + 1) * np.pi * SHARES) for k in (1, 2, 3))
    arch_low = _rise(rng.uniform(0.5, 1.1), rng.uniform(0.5, 1.1)) * (1 + bumps)
    share = float(np.clip(rng.normal(0.5, 0.11), 0.15, 0.85))
    at = round(share * 256)
    y = float(line[at]) - rng.uniform(0.5, 4.0) + (rng.normal(0, 2.0) if rng.random() < 0.4 else 0.0)
    mrd2 = rng.uniform(2.0, 7.5)
    kind = rng.random()
    opening = rng.uniform(*((0.0, 0.4) if kind < 0.09 else (0.3, 6.0) if kind < 0.42 else (5.0, 12.5)))
    low = y + mrd2
    top = low - opening
    lower = line + (low - line[at]) * arch_low / max(arch_low[at], 0.2)
    upper = line + (top - line[at]) * arch_up / max(arch_up[at], 0.2)
    upper = np.minimum(upper, lower)
    return Shape(
        length, upper, lower, (share * length, y), 5.85 * float(np.clip(rng.normal(1, 0.06), 0.8, 1.2))
    )


def random_colour(rng: np.random.Generator, low: float, high: float, spread: float = 0.15) -> F64:
    """Sample a colour: (3,) RGB of a brightness between ``low`` and ``high``, 0…255."""
    out: F64 = rng.uniform(low, high) * (1 + rng.normal(0, spread, 3))
    return np.clip(out, 0, 255)


def noise(rng: np.random.Generator, rows: int, cols: int) -> F32:
    """Smooth noise over a patch from a (rows, cols) grid, standard deviation about 1."""
    grid = rng.standard_normal((rows, cols)).astype(np.float32)
    out: F32 = cv2.resize(grid, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return out


def skin_colour(rng: np.random.Generator) -> F64:
    """Sample a skin colour from dark to fair: (3,) RGB."""
    tone = rng.uniform(40, 235)
    warm = np.array([1.0, rng.uniform(0.6, 0.92), rng.uniform(0.4, 0.88)])
    out: F64 = np.clip(tone * warm * (1 + rng.normal(0, 0.05, 3)), 5, 255)
    return out


class Canvas:
    """A patch to paint on, (64, 128, 3) floats, with the coordinates of its pixels in the eye's frame."""

    def __init__(self, rng: np.random.Generator, shape: Shape, skin: F64) -> None:
        self.rng, self.shape, self.skin = rng, shape, skin
        self.zoom = PX_PER_MM * float(np.exp(rng.normal(0.03, 0.11)))
        self.angle = float(np.deg2rad(rng.normal(0, 3.0)))
        c, s = np.cos(self.angle), np.sin(self.angle)
        self.turn = np.array([[c, s], [-s, c]]) * self.zoom  # row vectors: patch = eye @ turn + origin
        middle = np.array([shape.length / 2, float((shape.upper + shape.lower)[128] / 4)])
        jitter = rng.normal(0, 1.5 * PX_PER_MM, 2)
        self.origin = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2]) - middle @ self.turn + jitter
        offset = np.stack([COLUMNS, ROWS], axis=-1) - self.origin
        eye = offset @ np.linalg.inv(self.turn)
        self.a, self.b = eye[..., 0].astype(np.float32), eye[..., 1].astype(np.float32)
        self.t = self.a / np.float32(shape.length)
        self.pixels = np.empty((HEIGHT, WIDTH, 3), np.float32)
        self.pixels[:] = skin

    def lay(self, colour: F64 | F32, weight: F64 | F32) -> None:
        self.pixels += (np.asarray(colour, np.float32) - self.pixels) * np.asarray(weight, np.float32)[
            ..., None
        ]

    def at(self, curve: F64) -> F32:
        """Height of a curve over ``SHARES`` at every pixel, constant beyond the canthi."""
        out: F32 = np.interp(self.t, SHARES, curve).astype(np.float32)
        return out

    def place(self, x: F64, y: F64) -> F64:
        """Eye millimetres to patch pixels: (n,), (n,) to (n, 2)."""
        out: F64 = np.stack([x, y], axis=-1) @ self.turn + self.origin
        return out


def strokes(canvas: Canvas, lines: F64, width: float, colour: F64, opacity: float) -> None:
    """Draw lines (n, k, 2) in patch pixels."""
    mask = line_mask(lines, (HEIGHT, WIDTH), width)
    canvas.lay(colour, mask.astype(np.float32) / 255 * opacity * min(width, 1.0))
