"""Random eyes with exact lid margins, to train the second look on.

They are wilder than the faces of ``lidloop.synthetic``: skin folds, hooded and single lids, heavy lashes and
make-up, dark and reddened whites, shade under the lid and in the socket, frames, hair and reflexes, all light
and colour casts, blur, noise and compression; so that what is learned is where the lid ends and the globe
begins, not how one painter draws it. Patches have no eye in some, to learn what is none.

Everything is in pixels of the patch (``lidloop.eyes.patch``); mm below means 2.5 of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.eyes.patch import HEIGHT, WIDTH

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
PX_PER_MM: Final = 2.5
_T: Final = np.linspace(0.0, 1.0, 257)
_ROWS, _COLS = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class EyeSample:
    """A patch and what is true of it.

    Attributes:
        patch: (64, 128, 3) uint8.
        upper, lower: (128,) row of each margin at every column; NaN beyond the canthi.
        canthi: (2, 2) x, y of the outer and the inner one.
        iris: x, y of the pupil centre, and the radius.
        trust: 1 where there is an eye to measure, 0 where there is none, or most of it is hidden.
    """

    patch: NDArray[np.uint8]
    upper: F64
    lower: F64
    canthi: F64
    iris: F64
    trust: float


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """An eye's curves over ``_T`` (outer to inner canthus), mm in its own frame: x inwards, y down."""

    length: float
    upper: F64
    lower: F64
    pupil: tuple[float, float]
    radius: float


def _rise(p: float, q: float) -> F64:
    """A lid's arch over ``_T``, 0 at both ends, 1 at the peak."""
    t = np.clip(_T, 1e-6, 1 - 1e-6)
    peak = p / (p + q)
    out: F64 = (t / peak) ** p * ((1 - t) / (1 - peak)) ** q
    out[0] = out[-1] = 0.0
    return out


def _shape(rng: np.random.Generator) -> _Shape:
    length = rng.uniform(21, 33)
    rise_at_outer = rng.normal(1.5, 2.0)  # the outer canthus usually stands above the inner one
    line = rise_at_outer * (_T - 1.0)
    bumps = sum(rng.normal(0, 0.035) * np.sin((k + 1) * np.pi * _T) for k in (1, 2, 3))
    arch_up = _rise(rng.uniform(0.5, 1.1), rng.uniform(0.5, 1.1)) * (1 + bumps)
    bumps = sum(rng.normal(0, 0.035) * np.sin((k + 1) * np.pi * _T) for k in (1, 2, 3))
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
    return _Shape(
        length, upper, lower, (share * length, y), 5.85 * float(np.clip(rng.normal(1, 0.06), 0.8, 1.2))
    )


def _colour(rng: np.random.Generator, low: float, high: float, spread: float = 0.15) -> F64:
    out: F64 = rng.uniform(low, high) * (1 + rng.normal(0, spread, 3))
    return np.clip(out, 0, 255)


def _noise(rng: np.random.Generator, rows: int, cols: int) -> F32:
    """Smooth noise over a patch from a (rows, cols) grid, deviation about 1."""
    grid = rng.standard_normal((rows, cols)).astype(np.float32)
    out: F32 = cv2.resize(grid, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return out


def _skin_colour(rng: np.random.Generator) -> F64:
    tone = rng.uniform(40, 235)
    warm = np.array([1.0, rng.uniform(0.6, 0.92), rng.uniform(0.4, 0.88)])
    out: F64 = np.clip(tone * warm * (1 + rng.normal(0, 0.05, 3)), 5, 255)
    return out


class _Canvas:
    """A patch being painted: (64, 128, 3) float, and coordinates of its pixels in the eye's frame."""

    def __init__(self, rng: np.random.Generator, shape: _Shape, skin: F64) -> None:
        self.rng, self.shape, self.skin = rng, shape, skin
        self.zoom = PX_PER_MM * float(np.exp(rng.normal(0.03, 0.11)))
        self.angle = float(np.deg2rad(rng.normal(0, 3.0)))
        c, s = np.cos(self.angle), np.sin(self.angle)
        self.turn = np.array([[c, s], [-s, c]]) * self.zoom  # row vectors: patch = eye @ turn + origin
        middle = np.array([shape.length / 2, float((shape.upper + shape.lower)[128] / 4)])
        jitter = rng.normal(0, 1.5 * PX_PER_MM, 2)
        self.origin = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2]) - middle @ self.turn + jitter
        offset = np.stack([_COLS, _ROWS], axis=-1) - self.origin
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
        """A curve over ``_T`` at every pixel; beyond the canthi it goes on level."""
        out: F32 = np.interp(self.t, _T, curve).astype(np.float32)
        return out

    def place(self, x: F64, y: F64) -> F64:
        """Eye millimetres to patch pixels: (n,), (n,) to (n, 2)."""
        out: F64 = np.stack([x, y], axis=-1) @ self.turn + self.origin
        return out


def _cover(distance: NDArray[np.floating[Any]]) -> F64:
    out: F64 = np.clip(distance + 0.5, 0.0, 1.0)
    return out


def _lines(canvas: _Canvas, lines: F64, width: float, colour: F64, opacity: float) -> None:
    """Strokes (n, k, 2) in patch pixels."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    thick = max(round(width), 1)
    cv2.polylines(mask, list(np.round(lines * 16).astype(np.int32)), False, 255, thick, cv2.LINE_AA, 4)
    canvas.lay(colour, mask.astype(np.float32) / 255 * opacity * min(width, 1.0))


def _paint_skin(canvas: _Canvas) -> None:
    rng, shape = canvas.rng, canvas.shape
    field = 0.10 * _noise(rng, 3, 4) + 0.05 * _noise(rng, 5, 9)
    field += rng.uniform(0, 0.06) * _noise(rng, 24, 48) + rng.uniform(0, 0.05) * _noise(rng, 40, 40)
    slope = rng.normal(0, 0.25, 2)
    field += slope[0] * (_COLS / WIDTH - 0.5) + slope[1] * (_ROWS / HEIGHT - 0.5)
    canvas.pixels *= np.clip(1 + field, 0.2, 1.8)[..., None].astype(np.float32)
    dark = canvas.skin * np.array([0.62, 0.5, 0.48]) * rng.uniform(0.5, 1.1)
    # The socket: shade towards the nose and under the brow, and around the lids.
    nose = np.exp(-((((canvas.t - rng.uniform(0.95, 1.25)) / 0.3) ** 2) + ((canvas.b + 2) / 8) ** 2))
    canvas.lay(dark, nose * rng.uniform(0, 0.75))
    ring = np.exp(-(((canvas.t - 0.5) / 0.62) ** 4) - ((canvas.b + 1.5) / rng.uniform(5, 9)) ** 2)
    canvas.lay(dark, ring * rng.uniform(0, 0.8) * (rng.random() < 0.6))
    # The brow.
    if rng.random() < 0.7:
        low = rng.uniform(5.5, 14) - min(float(shape.upper[128]), 0) * 0.6
        arch = (
            -low
            - rng.uniform(0, 3) * np.sin(np.pi * np.clip(canvas.t, 0, 1))
            - rng.normal(0, 2) * (canvas.t - 0.5)
        )
        thick = rng.uniform(2, 6)
        hair = np.clip(1 - np.abs(canvas.b - arch + thick) / thick, 0, 1) ** 0.6
        hair = hair * np.clip(1 + 0.8 * _noise(rng, 12, 64), 0.2, 1.4)
        canvas.lay(_colour(rng, 10, 110, 0.1), np.clip(hair, 0, 1) * rng.uniform(0.3, 1.0))


def _paint_folds(canvas: _Canvas) -> None:
    """Creases of the upper lid, the lid's plate, make-up, bags and wrinkles below."""
    rng, shape = canvas.rng, canvas.shape
    upper, lower = canvas.at(shape.upper), canvas.at(shape.lower)
    near = np.clip(np.minimum(canvas.t + rng.uniform(0, 0.3), 1.15 - canvas.t) / 0.25, 0, 1)
    height = upper - canvas.b
    dark = canvas.skin * rng.uniform(0.25, 0.75) * np.array([1.0, 0.86, 0.84])
    gap = np.full_like(height, 0.0)
    if rng.random() < 0.8:
        gap = gap + rng.uniform(0.6, 5.5) * (
            rng.uniform(0.3, 1) + 0.6 * np.sin(np.pi * np.clip(canvas.t, 0, 1))
        )
        gap += rng.normal(0, 1.2) * (canvas.t - 0.5)
        gap = np.maximum(gap, 0.4)
        plate = (height > 0) & (height < gap)
        canvas.pixels *= np.where(plate, 1 + rng.normal(0.02, 0.12), 1.0)[..., None].astype(np.float32)
        side = rng.uniform(0.2, 1.0), rng.uniform(0.4, 2.2)  # sharp below, soft above
        fold = np.where(
            height < gap,
            np.exp(-(((height - gap) / side[0]) ** 2)),
            np.exp(-(((height - gap) / side[1]) ** 2)),
        )
        canvas.lay(dark, fold * near * rng.uniform(0.1, 0.95))
        for k in range(int(rng.integers(0, 3))):
            more = gap + rng.uniform(1, 4) * (k + 1) + rng.normal(0, 1.5) * (canvas.t - 0.5)
            canvas.lay(
                dark, np.exp(-(((height - more) / rng.uniform(0.2, 0.8)) ** 2)) * near * rng.uniform(0, 0.5)
            )
    if rng.random() < 0.25:
        make_up = np.clip(1 - np.abs(height - 1.5) / rng.uniform(2, 6), 0, 1) * near
        canvas.lay(_colour(rng, 10, 170, 0.35), make_up * rng.uniform(0.2, 0.9))
    depth = canvas.b - lower
    for _ in range(int(rng.integers(0, 5))):
        at = rng.uniform(0.8, 11) + rng.normal(0, 3) * (canvas.t - 0.5)
        tone = dark if rng.random() < 0.75 else np.minimum(canvas.skin * 1.25, 255)
        fold = np.exp(-(((depth - at) / rng.uniform(0.25, 1.6)) ** 2)) * np.clip(canvas.t + 0.1, 0, 1)
        canvas.lay(tone, fold * rng.uniform(0.05, 0.6))


def _paint_globe(canvas: _Canvas) -> F64:
    """White, caruncle, iris, pupil, reflexes inside the opening; returns the opening, 0…1 a pixel."""
    rng, shape = canvas.rng, canvas.shape
    upper, lower = canvas.at(shape.upper), canvas.at(shape.lower)
    step = shape.length / 256

    def distance(height: NDArray[np.floating[Any]], curve: F64) -> F64:
        slope = canvas.at(np.gradient(curve, step))
        out: F64 = height * canvas.zoom / np.sqrt(1 + np.minimum(slope**2, 25))
        return out

    below = distance(canvas.b - upper, shape.upper)
    above = distance(lower - canvas.b, shape.lower)
    sides = np.minimum(canvas.a, shape.length - canvas.a) * canvas.zoom
    opening = _cover(below) * _cover(above) * _cover(sides)

    white = np.array([1.0, rng.uniform(0.82, 1.02), rng.uniform(0.78, 1.05)])
    base = np.clip(white * rng.uniform(0.75, 1.7) * np.clip(canvas.skin.mean(), 70, 200), 30, 250)
    globe = np.empty((HEIGHT, WIDTH, 3), np.float32)
    globe[:] = base
    shade = 1 - rng.uniform(0.05, 0.75) * np.exp(-np.clip(canvas.b - upper, 0, None) / rng.uniform(0.6, 4.0))
    shade *= 1 - rng.uniform(0, 0.6) * np.exp(-np.minimum(canvas.t, 1 - canvas.t) / rng.uniform(0.05, 0.2))
    shade *= 1 + 0.04 * _noise(rng, 16, 32)
    pink = np.array([rng.uniform(140, 215), rng.uniform(80, 150), rng.uniform(75, 140)]) * np.clip(
        base.mean() / 200, 0.3, 1
    )
    caruncle = np.clip((canvas.t - rng.uniform(0.84, 0.95)) / 0.06, 0, 1)
    globe += (pink - globe) * (caruncle * rng.uniform(0.2, 0.95))[..., None].astype(np.float32)
    globe += (pink - globe) * (np.clip(_noise(rng, 10, 24), 0, 1) * rng.uniform(0, 0.3))[..., None]

    x, y = shape.pupil
    flat = rng.uniform(0.95, 1.0)  # seen from the side by up to 18°
    dx, dy = (canvas.a - x) / flat, canvas.b - y
    radius = np.hypot(dx, dy)
    soft = rng.uniform(0.8, 2.5)
    disc = np.clip((shape.radius - radius) * canvas.zoom / soft + 0.5, 0, 1)
    bright = rng.uniform(0.1, 0.95) ** 1.5
    tone = np.clip(base.mean() * bright * (1 + rng.normal(0, 0.2, 3)), 4, 235)
    rel = radius / shape.radius
    angle = np.arctan2(dy, dx)
    streak = sum(rng.normal(0, 0.12) * np.sin(k * angle + rng.uniform(0, 6.3)) for k in (3, 7, 13, 23, 37))
    shade_iris = 1 + streak * np.clip(rel * 2 - 0.4, 0, 1)
    shade_iris *= 1 - rng.uniform(0, 0.85) * np.clip((rel - rng.uniform(0.6, 0.9)) / 0.2, 0, 1)
    shade_iris *= 1 + rng.uniform(-0.2, 0.7) * np.exp(-(((rel - 0.5) / 0.2) ** 2)) * np.clip(
        0.5 + dy / shape.radius, 0, 1.4
    )
    iris = np.clip(tone * np.clip(shade_iris, 0.05, 2)[..., None], 0, 255).astype(np.float32)
    globe += (iris - globe) * disc[..., None].astype(np.float32)
    pupil = np.clip((shape.radius * rng.uniform(0.22, 0.62) - radius) * canvas.zoom / soft + 0.5, 0, 1)
    globe += (np.float32(rng.uniform(0, 40)) - globe) * (pupil * rng.uniform(0.4, 1))[..., None].astype(
        np.float32
    )
    globe *= np.clip(shade, 0.1, 1.3)[..., None].astype(np.float32)
    for _ in range(int(rng.integers(0, 4))):
        rx, ry = x + rng.normal(0, 2.6), y + rng.normal(-0.8, 2.2)
        size = rng.uniform(0.25, 1.6)
        aspect = rng.uniform(0.5, 2)
        if rng.random() < 0.5:
            glow = _cover((size - np.hypot((canvas.a - rx) * aspect, canvas.b - ry)) * canvas.zoom)
        else:
            glow = _cover(
                (size - np.maximum(np.abs(canvas.a - rx) * aspect, np.abs(canvas.b - ry))) * canvas.zoom
            )
        globe += (np.float32(rng.uniform(170, 255)) - globe) * (glow * rng.uniform(0.3, 1))[..., None].astype(
            np.float32
        )
    wet = np.exp(-np.clip(lower - canvas.b, 0, None) / 0.35) * rng.uniform(0, 0.6) * (rng.random() < 0.4)
    globe += (np.float32(230) - globe) * wet[..., None].astype(np.float32)
    canvas.lay(globe, opening)
    return opening


def _paint_margins(canvas: _Canvas) -> None:
    """Waterlines, lash lines and lashes."""
    rng, shape = canvas.rng, canvas.shape
    upper, lower = canvas.at(shape.upper), canvas.at(shape.lower)
    closed = float((shape.lower - shape.upper).max()) < 0.8
    height, depth = upper - canvas.b, canvas.b - lower
    ends = np.clip(np.minimum(canvas.t + 0.06, 1.03 - canvas.t) / 0.1, 0, 1)
    lash = _colour(rng, 3, 70, 0.15)
    # Pink edge of the lower lid, sometimes of the upper.
    rim = np.clip(canvas.skin * np.array([1.1, 0.85, 0.83]) * rng.uniform(0.8, 1.35), 0, 250)
    canvas.lay(
        rim,
        _cover(depth * canvas.zoom)
        * _cover((rng.uniform(0.4, 1.4) - depth) * canvas.zoom)
        * ends
        * rng.uniform(0, 0.9),
    )
    if rng.random() < 0.3:
        canvas.lay(
            rim * 0.8,
            _cover(height * canvas.zoom)
            * _cover((rng.uniform(0.3, 0.8) - height) * canvas.zoom)
            * ends
            * rng.uniform(0, 0.7),
        )
    # The dark line of the upper lashes hangs a little over the globe in some.
    over = rng.uniform(0, 0.35) if rng.random() < 0.5 else 0.0
    thick = rng.uniform(0.3, 1.9) * (rng.uniform(0.4, 1.2) + rng.uniform(-0.6, 0.6) * canvas.t)
    edge = rng.uniform(0.6, 1.6) * canvas.zoom / 2
    line = np.clip((height + over) * canvas.zoom + 0.5, 0, 1) * np.clip((thick - height) * edge + 0.5, 0, 1)
    strength = rng.uniform(0.0, 1.0)
    canvas.lay(lash, np.clip(line, 0, 1) * ends * (0.5 + 0.5 * strength if closed else strength))
    if rng.random() < 0.4:
        low = _cover(depth * canvas.zoom - 1) * np.clip((rng.uniform(0.5, 1.6) - depth) * edge + 0.5, 0, 1)
        canvas.lay(lash, low * ends * rng.uniform(0, 0.8))
    for which, chance in (("upper", 0.75), ("lower", 0.4)):
        if rng.random() < chance:
            _lashes(canvas, which == "upper", lash, hanging=rng.random() < (0.8 if closed else 0.3))


def _paint_corners(canvas: _Canvas) -> None:
    """What goes on beyond the canthi: a fold or lash wing at the outer one, a fold across the inner one."""
    rng, shape = canvas.rng, canvas.shape
    dark = canvas.skin * rng.uniform(0.1, 0.7)
    steps = np.linspace(0, 1, 9)
    for _ in range(int(rng.integers(0, 3))):
        start = rng.uniform(-0.02, 0.12)
        reach = rng.uniform(1.0, 7.0)
        x0, y0 = start * shape.length, float(np.interp(max(start, 0), _T, shape.upper)) - rng.uniform(0, 0.8)
        x = x0 - reach * steps
        y = y0 + reach * (rng.normal(0.25, 0.35) * steps + rng.normal(0.1, 0.25) * steps**2)
        lines = canvas.place(x, y)[None]
        _lines(canvas, lines, rng.uniform(0.3, 1.4) * canvas.zoom, dark, rng.uniform(0.15, 0.9))
    if rng.random() < 0.3:
        top = rng.uniform(2, 6)
        x = shape.length + rng.uniform(-1.5, 1.5) + rng.uniform(0, 2.0) * np.sin(np.pi * steps)
        y = -top + (top + rng.uniform(0.5, 3)) * steps
        _lines(
            canvas, canvas.place(x, y)[None], rng.uniform(0.3, 1.2) * canvas.zoom, dark, rng.uniform(0.1, 0.7)
        )


def _lashes(canvas: _Canvas, upper: bool, colour: F64, *, hanging: bool) -> None:
    rng, shape = canvas.rng, canvas.shape
    n = int(rng.integers(12, 48))
    t = np.sort(rng.uniform(0.02, 0.9, n))
    x = t * shape.length
    y = np.interp(t, _T, shape.upper if upper else shape.lower) + (-0.2 if upper else 0.5)
    reach = rng.uniform(1.5, 7.5 if upper else 3.5) * (0.6 + 0.4 * rng.random(n))
    way = -1.0 if upper else 1.0
    if upper and hanging:
        way = rng.uniform(-0.2, 0.9)  # over the globe, as of a drooping lid, or over the cheek
        reach = reach * (0.8 if way < 0.3 else 0.6)
    lean = (t - rng.uniform(0.45, 0.7)) * rng.uniform(0.5, 2.0) + rng.normal(0, 0.08, n)
    steps = np.array([0.0, 0.5, 1.0])
    xs = x[:, None] + (lean * reach)[:, None] * steps**1.5
    ys = y[:, None] + way * reach[:, None] * steps * 0.7 + 0.12 * reach[:, None] * (1 - steps) * steps
    _lines(canvas, canvas.place(xs, ys), rng.uniform(0.25, 1.0), colour, rng.uniform(0.15, 0.9))


def _paint_clutter(canvas: _Canvas) -> float:
    """Frames, lenses, hair or a hand over the eye; returns the share of the opening's columns covered."""
    rng = canvas.rng
    kind = rng.random()
    if kind < 0.16:  # a frame around the eye, sometimes through it
        centre = canvas.place(np.array([canvas.shape.length / 2]), np.array([rng.normal(1, 2.5)]))[0]
        axes = np.array([rng.uniform(18, 27), rng.uniform(9, 21)]) * PX_PER_MM
        power = rng.uniform(2, 5)
        angle = np.linspace(0, 2 * np.pi, 64)
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        ring = np.sign(circle) * np.abs(circle) ** (2 / power) * axes
        _lines(
            canvas, (centre + ring)[None], rng.uniform(0.8, 9), _colour(rng, 5, 200, 0.3), rng.uniform(0.5, 1)
        )
        if rng.random() < 0.5:
            glare = np.clip(_noise(rng, 3, 5) - rng.uniform(0.5, 1.5), 0, 1)
            canvas.lay(_colour(rng, 120, 255, 0.1), glare * rng.uniform(0.1, 0.6))
    elif kind < 0.24:
        n = int(rng.integers(1, 8))
        top = np.stack([rng.uniform(0, WIDTH, n), np.full(n, -4.0)], axis=1)
        lines = top[:, None] + np.stack(
            [rng.normal(0, 20, (n, 1)) * [0, 0.4, 1], np.tile([0, 36.0, 76], (n, 1))], axis=-1
        )
        _lines(canvas, lines, rng.uniform(0.4, 1.6), _colour(rng, 5, 200, 0.2), rng.uniform(0.3, 0.95))
    elif kind < 0.30:
        edge = rng.uniform(-0.1, 0.45)
        side = np.clip(
            (edge - (canvas.t if rng.random() < 0.5 else 1 - canvas.t)) * 12
            + rng.normal(0, 0.3) * canvas.b / 6,
            0,
            1,
        )
        tone = _colour(rng, 10, 230, 0.2) * (1 + 0.08 * _noise(rng, 20, 40))[..., None]
        canvas.lay(np.clip(tone, 0, 255), side)
        return float(np.clip(edge, 0, 1))
    return 0.0


def degrade(pixels: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light, colour, blur, lower resolution, noise and compression of a patch (64, 128, 3) in 0…255."""
    x = np.clip(pixels, 0, 255).astype(np.float32) / 255
    x = x ** float(np.exp(rng.normal(0, 0.3)))
    x = x * (1 + 0.2 * rng.normal(0, 1) * _noise(rng, 2, 3)[..., None]) if rng.random() < 0.5 else x
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
        n = int(rng.integers(3, 8))
        kernel = np.zeros((n, n), np.float32)
        d = (n - 1) / 2 * np.array([np.cos(a := rng.uniform(0, np.pi)), np.sin(a)])
        p, q = np.round((n - 1) / 2 - d).astype(int), np.round((n - 1) / 2 + d).astype(int)
        cv2.line(kernel, (int(p[0]), int(p[1])), (int(q[0]), int(q[1])), 1.0, 1)
        x = cv2.filter2D(x, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
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
    """Draw one random eye, or in one of ten patches none."""
    skin = _skin_colour(rng)
    shape = _shape(rng)
    canvas = _Canvas(rng, shape, skin)
    _paint_skin(canvas)
    if rng.random() < 0.1:
        return _no_eye(canvas)
    _paint_folds(canvas)
    _paint_globe(canvas)
    _paint_margins(canvas)
    if rng.random() < 0.7:
        _paint_corners(canvas)
    hidden = _paint_clutter(canvas)
    patch = degrade(canvas.pixels, rng)
    xs = np.arange(WIDTH, dtype=np.float64)
    curves = [canvas.place(_T * shape.length, curve) for curve in (shape.upper, shape.lower)]
    upper, lower = (np.interp(xs, c[:, 0], c[:, 1], left=np.nan, right=np.nan) for c in curves)
    centre = canvas.place(np.array([shape.pupil[0]]), np.array([shape.pupil[1]]))[0]
    iris = np.array([*centre, shape.radius * canvas.zoom])
    return EyeSample(patch, upper, lower, curves[0][[0, -1]], iris, float(hidden < 0.3))


def _no_eye(canvas: _Canvas) -> EyeSample:
    """Skin, brow, folds, hair, a dark lens, but no eye."""
    rng = canvas.rng
    for _ in range(int(rng.integers(0, 5))):
        curve = canvas.b - rng.normal(0, 6) - rng.normal(0, 6) * (canvas.t - 0.5) ** 2
        canvas.lay(
            _colour(rng, 5, 240, 0.2), np.exp(-((curve / rng.uniform(0.3, 3)) ** 2)) * rng.uniform(0.1, 1)
        )
    if rng.random() < 0.4:
        canvas.lay(_colour(rng, 3, 60, 0.2), np.full((HEIGHT, WIDTH), rng.uniform(0.7, 0.97)))
    _paint_clutter(canvas)
    nothing = np.full(WIDTH, np.nan)
    return EyeSample(
        degrade(canvas.pixels, rng), nothing, nothing.copy(), np.full((2, 2), np.nan), np.full(3, np.nan), 0.0
    )
