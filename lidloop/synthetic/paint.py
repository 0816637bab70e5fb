"""Drawing primitives: anti-aliased shapes, lines and textures. Colours are RGB in 0…255."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.synthetic.geometry import Floats

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.floating[Any]]
Colour = Sequence[float] | NDArray[np.floating[Any]]
_SHIFT = 4


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit OpenCV to one thread, which is fastest on pictures of this size."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


@cache
def noise_tile() -> NDArray[np.float32]:
    """(512, 512) noise over several octaves, mean 0 and standard deviation 1; always the same."""
    rng = np.random.default_rng(20240405)
    out = np.zeros((512, 512), np.float32)
    for size, weight in ((16, 0.5), (48, 0.6), (128, 0.7), (512, 0.9)):
        octave = rng.standard_normal((size, size)).astype(np.float32)
        out += weight * cv2.resize(octave, (512, 512), interpolation=cv2.INTER_CUBIC)
    out -= out.mean()
    out /= out.std()
    return out


@cache
def grain_tile() -> NDArray[np.float32]:
    """(1024, 1024, 3) white noise of standard deviation 1, for the noise of a sensor."""
    return np.random.default_rng(20240406).standard_normal((1024, 1024, 3), dtype=np.float32)


@cache
def hair_tile() -> NDArray[np.float32]:
    """(512, 512) vertical strands of hair, mean 0 and standard deviation about 1."""
    rng = np.random.default_rng(20240407)
    fine = rng.standard_normal((24, 512)).astype(np.float32)
    broad = rng.standard_normal((8, 90)).astype(np.float32)
    out: NDArray[np.float32] = cv2.resize(fine, (512, 512), interpolation=cv2.INTER_LINEAR)
    out += 1.2 * cv2.resize(broad, (512, 512), interpolation=cv2.INTER_CUBIC)
    out /= out.std()
    return out


def crop_tile(tile: NDArray[np.float32], rng: np.random.Generator, h: int, w: int) -> NDArray[np.float32]:
    """A random window of a tile, mirrored beyond its edges."""
    y, x = (int(v) for v in rng.integers(0, 256, 2))
    part = tile[y : y + h, x : x + w]
    down, right = h - part.shape[0], w - part.shape[1]
    if down > 0 or right > 0:
        part = np.pad(part, ((0, max(down, 0)), (0, max(right, 0))), mode="symmetric")
    return part


def fixed(points: Floats) -> NDArray[np.int32]:
    """Points in OpenCV's fixed-point format for ``shift=4``."""
    out: NDArray[np.int32] = np.round(np.asarray(points) * (1 << _SHIFT)).astype(np.int32)
    return out


def window(points: Floats, shape: Sequence[int], margin: float) -> tuple[int, int, int, int] | None:
    """Rows and columns (y1, y2, x1, x2) of points with a margin; None if they are outside the picture."""
    x1, y1 = np.floor(points.min(axis=0) - margin).astype(int)
    x2, y2 = np.ceil(points.max(axis=0) + margin).astype(int) + 1
    y1, x1, y2, x2 = max(y1, 0), max(x1, 0), min(y2, shape[0]), min(x2, shape[1])
    return (y1, y2, x1, x2) if y1 < y2 and x1 < x2 else None


def mask_of(points: Floats, shape: tuple[int, int]) -> Bytes:
    """Anti-aliased mask (h, w) of a filled polygon."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [fixed(points)], 255, cv2.LINE_AA, _SHIFT)
    return mask


def blend(canvas: Bytes, mask: Bytes, colour: Colour | Bytes, opacity: float = 1.0) -> None:
    """Blend a colour, or an image of the mask's size, into ``canvas`` (h, w, 3) by ``mask`` (h, w)."""
    weight = cv2.multiply(mask, np.array([opacity / 255.0]), dtype=cv2.CV_32F)[..., None]
    over = np.asarray(colour, np.float32)
    base = canvas.astype(np.float32)
    base += (over - base) * weight
    cv2.convertScaleAbs(base, canvas)


def fill(
    canvas: Bytes, points: Floats, colour: Colour, *, opacity: float = 1.0, feather: float = 0.0
) -> None:
    """Fill a polygon, its edge softened by a Gaussian of ``feather`` pixels."""
    if feather < 0.35 and opacity >= 1.0:
        cv2.fillPoly(canvas, [fixed(points)], tuple(float(c) for c in colour), cv2.LINE_AA, _SHIFT)
        return
    box = window(points, canvas.shape, 2.5 * feather + 2)
    if box is None:
        return
    y1, y2, x1, x2 = box
    size = (y2 - y1, x2 - x1)
    if feather < 0.35:
        mask = mask_of(points - (x1, y1), size)
    else:
        mask = _soft(points - (x1, y1), size, feather, None)
    blend(canvas[y1:y2, x1:x2], mask, colour, opacity)


def _soft(points: Floats, size: tuple[int, int], feather: float, width: float | None) -> Bytes:
    """Blurred mask of a polygon, or of a line of ``width``, drawn at reduced size for a wide blur."""
    h, w = size
    k = max(int(feather / 1.2), 1)
    if k == 1:
        mask = np.zeros(size, np.uint8)
        at, small = fixed(points), size
    else:
        small = (max(h // k, 1), max(w // k, 1))
        mask = np.zeros(small, np.uint8)
        ratio = np.array([small[1] / w, small[0] / h])
        at = fixed((points + 0.5) * ratio - 0.5)
    if width is None:
        cv2.fillPoly(mask, [at], 255, cv2.LINE_AA, _SHIFT)
    else:
        thick = max(round(width / k), 1)
        level = 255.0 * min(max(width / k, 0.3), 1.0)
        cv2.polylines(mask, [at], False, level, thick, cv2.LINE_AA, _SHIFT)
    out: Bytes = cv2.GaussianBlur(mask, (0, 0), feather / k)
    if k > 1:
        out = cv2.resize(out, (w, h), interpolation=cv2.INTER_LINEAR)
    return out


def stroke(
    canvas: Bytes,
    points: Floats,
    colour: Colour,
    width: float,
    *,
    opacity: float = 1.0,
    feather: float = 0.0,
    closed: bool = False,
) -> None:
    """Draw a line of ``width`` pixels; a width below one pixel reduces the opacity instead."""
    opacity = opacity * min(width, 1.0)
    thick = max(round(width), 1)
    if feather < 0.35 and opacity >= 1.0:
        cv2.polylines(
            canvas, [fixed(points)], closed, tuple(float(c) for c in colour), thick, cv2.LINE_AA, _SHIFT
        )
        return
    box = window(points, canvas.shape, thick + 2.5 * feather + 2)
    if box is None:
        return
    y1, y2, x1, x2 = box
    size = (y2 - y1, x2 - x1)
    if feather < 0.35:
        mask = np.zeros(size, np.uint8)
        cv2.polylines(mask, [fixed(points - (x1, y1))], closed, 255, thick, cv2.LINE_AA, _SHIFT)
    else:
        mask = _soft(points - (x1, y1), size, feather, thick)
    blend(canvas[y1:y2, x1:x2], mask, colour, opacity)


def line_mask(lines: Floats, shape: tuple[int, int], width: float) -> Bytes:
    """Anti-aliased mask (h, w) of many lines (n, k, 2) of one width, at least one pixel wide."""
    mask = np.zeros(shape, np.uint8)
    thick = max(round(width), 1)
    cv2.polylines(mask, list(fixed(lines)), False, 255, thick, cv2.LINE_AA, _SHIFT)
    return mask


def strokes(canvas: Bytes, lines: Floats, colour: Colour, width: float, *, opacity: float = 1.0) -> None:
    """Draw many lines (n, k, 2) of one width at once; crossings are not darker."""
    box = window(lines.reshape(-1, 2), canvas.shape, width + 2)
    if box is None:
        return
    y1, y2, x1, x2 = box
    mask = line_mask(lines - (x1, y1), (y2 - y1, x2 - x1), width)
    blend(canvas[y1:y2, x1:x2], mask, colour, opacity * min(width, 1.0))


def coverage(distance: Numbers) -> Floats:
    """Share of a pixel inside an edge at a signed distance in pixels, positive inside."""
    out: Floats = np.clip(distance + 0.5, 0.0, 1.0)
    return out


def edge_distance(height: Numbers, slope: Numbers) -> Floats:
    """Distance in pixels to a curve from the vertical distance to it and the curve's slope there."""
    out: Floats = height / np.sqrt(1 + np.minimum(slope**2, 25.0))
    return out


def motion_kernel(n: int, angle: float) -> NDArray[np.float32]:
    """(n, n) kernel of a motion blur along a direction, sum 1."""
    kernel = np.zeros((n, n), np.float32)
    d = np.array([np.cos(angle), np.sin(angle)]) * (n - 1) / 2
    a, b = np.round((n - 1) / 2 - d).astype(int), np.round((n - 1) / 2 + d).astype(int)
    cv2.line(kernel, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), 1.0, 1)
    out: NDArray[np.float32] = kernel / kernel.sum()
    return out


def superellipse(circle: Floats, power: float) -> Floats:
    """Points of a unit circle moved onto a superellipse; power 2 leaves them, more is squarer."""
    out: Floats = np.sign(circle) * np.abs(circle) ** (2 / power)
    return out


def curve(points: Floats, *, closed: bool = False, steps: int = 6) -> Floats:
    """Uniform Catmull-Rom curve through points (n, d), ``steps`` samples a span."""
    n = len(points)
    if closed:
        padded = points[np.arange(-1, n + 2) % n]
        spans = n
    else:
        padded = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
        spans = n - 1
    t = np.arange(steps)[:, None] / steps
    p0, p1, p2, p3 = (padded[k : k + spans, None] for k in range(4))
    out = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2)
    out = out + 0.5 * (3 * p1 - p0 - 3 * p2 + p3) * t**3
    out = out.reshape(-1, points.shape[1])
    return out if closed else np.concatenate([out, points[-1:]])


@cache
def ring(n: int = 32) -> Floats:
    """(n, 2) points of the unit circle, read-only."""
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points.setflags(write=False)
    return points
