"""Painting of the parts of a random eye, from back to front."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidloop.eyes.patch import HEIGHT, WIDTH
from lidloop.eyes_training.canvas import (
    COLUMNS,
    F64,
    PX_PER_MM,
    ROWS,
    SHARES,
    Canvas,
    noise,
    random_colour,
    strokes,
)
from lidloop.synthetic.paint import coverage, edge_distance, superellipse


def paint_skin(canvas: Canvas) -> None:
    """Paint uneven skin, shadows of the socket and around the lids, and the brow."""
    rng, shape = canvas.rng, canvas.shape
    field = 0.10 * noise(rng, 3, 4) + 0.05 * noise(rng, 5, 9)
    field += rng.uniform(0, 0.06) * noise(rng, 24, 48) + rng.uniform(0, 0.05) * noise(rng, 40, 40)
    slope = rng.normal(0, 0.25, 2)
    field += slope[0] * (COLUMNS / WIDTH - 0.5) + slope[1] * (ROWS / HEIGHT - 0.5)
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
        hair = hair * np.clip(1 + 0.8 * noise(rng, 12, 64), 0.2, 1.4)
        canvas.lay(random_colour(rng, 10, 110, 0.1), np.clip(hair, 0, 1) * rng.uniform(0.3, 1.0))


def paint_folds(canvas: Canvas) -> None:
    """Paint creases of the upper lid, the lid plate, make-up, and folds below the eye."""
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
        canvas.lay(random_colour(rng, 10, 170, 0.35), make_up * rng.uniform(0.2, 0.9))
    depth = canvas.b - lower
    for _ in range(int(rng.integers(0, 5))):
        at = rng.uniform(0.8, 11) + rng.normal(0, 3) * (canvas.t - 0.5)
        tone = dark if rng.random() < 0.75 else np.minimum(canvas.skin * 1.25, 255)
        fold = np.exp(-(((depth - at) / rng.uniform(0.25, 1.6)) ** 2)) * np.clip(canvas.t + 0.1, 0, 1)
        canvas.lay(tone, fold * rng.uniform(0.05, 0.6))


def paint_globe(canvas: Canvas) -> None:
    """Paint sclera, caruncle, iris, pupil and reflexes inside the opening."""
    rng, shape = canvas.rng, canvas.shape
    upper, lower = canvas.at(shape.upper), canvas.at(shape.lower)
    step = shape.length / 256

    def distance(height: NDArray[np.floating[Any]], curve: F64) -> F64:
        return edge_distance(height * canvas.zoom, canvas.at(np.gradient(curve, step)))

    below = distance(canvas.b - upper, shape.upper)
    above = distance(lower - canvas.b, shape.lower)
    sides = np.minimum(canvas.a, shape.length - canvas.a) * canvas.zoom
    opening = coverage(below) * coverage(above) * coverage(sides)

    white = np.array([1.0, rng.uniform(0.82, 1.02), rng.uniform(0.78, 1.05)])
    base = np.clip(white * rng.uniform(0.75, 1.7) * np.clip(canvas.skin.mean(), 70, 200), 30, 250)
    globe = np.empty((HEIGHT, WIDTH, 3), np.float32)
    globe[:] = base
    shade = 1 - rng.uniform(0.05, 0.75) * np.exp(-np.clip(canvas.b - upper, 0, None) / rng.uniform(0.6, 4.0))
    shade *= 1 - rng.uniform(0, 0.6) * np.exp(-np.minimum(canvas.t, 1 - canvas.t) / rng.uniform(0.05, 0.2))
    shade *= 1 + 0.04 * noise(rng, 16, 32)
    pink = np.array([rng.uniform(140, 215), rng.uniform(80, 150), rng.uniform(75, 140)]) * np.clip(
        base.mean() / 200, 0.3, 1
    )
    caruncle = np.clip((canvas.t - rng.uniform(0.84, 0.95)) / 0.06, 0, 1)
    globe += (pink - globe) * (caruncle * rng.uniform(0.2, 0.95))[..., None].astype(np.float32)
    globe += (pink - globe) * (np.clip(noise(rng, 10, 24), 0, 1) * rng.uniform(0, 0.3))[..., None]

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
            glow = coverage((size - np.hypot((canvas.a - rx) * aspect, canvas.b - ry)) * canvas.zoom)
        else:
            glow = coverage(
                (size - np.maximum(np.abs(canvas.a - rx) * aspect, np.abs(canvas.b - ry))) * canvas.zoom
            )
        globe += (np.float32(rng.uniform(170, 255)) - globe) * (glow * rng.uniform(0.3, 1))[..., None].astype(
            np.float32
        )
    wet = np.exp(-np.clip(lower - canvas.b, 0, None) / 0.35) * rng.uniform(0, 0.6) * (rng.random() < 0.4)
    globe += (np.float32(230) - globe) * wet[..., None].astype(np.float32)
    canvas.lay(globe, opening)


def paint_margins(canvas: Canvas) -> None:
    """Paint the rims of the lids, lash lines and lashes."""
    rng, shape = canvas.rng, canvas.shape
    upper, lower = canvas.at(shape.upper), canvas.at(shape.lower)
    closed = float((shape.lower - shape.upper).max()) < 0.8
    height, depth = upper - canvas.b, canvas.b - lower
    ends = np.clip(np.minimum(canvas.t + 0.06, 1.03 - canvas.t) / 0.1, 0, 1)
    lash = random_colour(rng, 3, 70, 0.15)
    # Pink edge of the lower lid, sometimes of the upper.
    rim = np.clip(canvas.skin * np.array([1.1, 0.85, 0.83]) * rng.uniform(0.8, 1.35), 0, 250)
    canvas.lay(
        rim,
        coverage(depth * canvas.zoom)
        * coverage((rng.uniform(0.4, 1.4) - depth) * canvas.zoom)
        * ends
        * rng.uniform(0, 0.9),
    )
    if rng.random() < 0.3:
        canvas.lay(
            rim * 0.8,
            coverage(height * canvas.zoom)
            * coverage((rng.uniform(0.3, 0.8) - height) * canvas.zoom)
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
        low = coverage(depth * canvas.zoom - 1) * np.clip((rng.uniform(0.5, 1.6) - depth) * edge + 0.5, 0, 1)
        canvas.lay(lash, low * ends * rng.uniform(0, 0.8))
    for which, chance in (("upper", 0.75), ("lower", 0.4)):
        if rng.random() < chance:
            _lashes(canvas, which == "upper", lash, hanging=rng.random() < (0.8 if closed else 0.3))


def paint_corners(canvas: Canvas) -> None:
    """Paint folds beyond the outer canthus and across the inner one."""
    rng, shape = canvas.rng, canvas.shape
    dark = canvas.skin * rng.uniform(0.1, 0.7)
    steps = np.linspace(0, 1, 9)
    for _ in range(int(rng.integers(0, 3))):
        start = rng.uniform(-0.02, 0.12)
        reach = rng.uniform(1.0, 7.0)
        x0, y0 = (
            start * shape.length,
            float(np.interp(max(start, 0), SHARES, shape.upper)) - rng.uniform(0, 0.8),
        )
        x = x0 - reach * steps
        y = y0 + reach * (rng.normal(0.25, 0.35) * steps + rng.normal(0.1, 0.25) * steps**2)
        lines = canvas.place(x, y)[None]
        strokes(canvas, lines, rng.uniform(0.3, 1.4) * canvas.zoom, dark, rng.uniform(0.15, 0.9))
    if rng.random() < 0.3:
        top = rng.uniform(2, 6)
        x = shape.length + rng.uniform(-1.5, 1.5) + rng.uniform(0, 2.0) * np.sin(np.pi * steps)
        y = -top + (top + rng.uniform(0.5, 3)) * steps
        strokes(
            canvas, canvas.place(x, y)[None], rng.uniform(0.3, 1.2) * canvas.zoom, dark, rng.uniform(0.1, 0.7)
        )


def _lashes(canvas: Canvas, upper: bool, colour: F64, *, hanging: bool) -> None:
    rng, shape = canvas.rng, canvas.shape
    n = int(rng.integers(12, 48))
    t = np.sort(rng.uniform(0.02, 0.9, n))
    x = t * shape.length
    y = np.interp(t, SHARES, shape.upper if upper else shape.lower) + (-0.2 if upper else 0.5)
    reach = rng.uniform(1.5, 7.5 if upper else 3.5) * (0.6 + 0.4 * rng.random(n))
    way = -1.0 if upper else 1.0
    if upper and hanging:
        way = rng.uniform(-0.2, 0.9)  # over the globe, as of a drooping lid, or over the cheek
        reach = reach * (0.8 if way < 0.3 else 0.6)
    lean = (t - rng.uniform(0.45, 0.7)) * rng.uniform(0.5, 2.0) + rng.normal(0, 0.08, n)
    steps = np.array([0.0, 0.5, 1.0])
    xs = x[:, None] + (lean * reach)[:, None] * steps**1.5
    ys = y[:, None] + way * reach[:, None] * steps * 0.7 + 0.12 * reach[:, None] * (1 - steps) * steps
    strokes(canvas, canvas.place(xs, ys), rng.uniform(0.25, 1.0), colour, rng.uniform(0.15, 0.9))


def paint_clutter(canvas: Canvas) -> float:
    """Paint a spectacle frame, hair or a hand over the eye; return the covered share of the columns."""
    rng = canvas.rng
    kind = rng.random()
    if kind < 0.16:  # a frame around the eye, sometimes through it
        centre = canvas.place(np.array([canvas.shape.length / 2]), np.array([rng.normal(1, 2.5)]))[0]
        axes = np.array([rng.uniform(18, 27), rng.uniform(9, 21)]) * PX_PER_MM
        power = rng.uniform(2, 5)
        angle = np.linspace(0, 2 * np.pi, 64)
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        ring = superellipse(circle, power) * axes
        strokes(
            canvas,
            (centre + ring)[None],
            rng.uniform(0.8, 9),
            random_colour(rng, 5, 200, 0.3),
            rng.uniform(0.5, 1),
        )
        if rng.random() < 0.5:
            glare = np.clip(noise(rng, 3, 5) - rng.uniform(0.5, 1.5), 0, 1)
            canvas.lay(random_colour(rng, 120, 255, 0.1), glare * rng.uniform(0.1, 0.6))
    elif kind < 0.24:
        n = int(rng.integers(1, 8))
        top = np.stack([rng.uniform(0, WIDTH, n), np.full(n, -4.0)], axis=1)
        lines = top[:, None] + np.stack(
            [rng.normal(0, 20, (n, 1)) * [0, 0.4, 1], np.tile([0, 36.0, 76], (n, 1))], axis=-1
        )
        strokes(canvas, lines, rng.uniform(0.4, 1.6), random_colour(rng, 5, 200, 0.2), rng.uniform(0.3, 0.95))
    elif kind < 0.30:
        edge = rng.uniform(-0.1, 0.45)
        side = np.clip(
            (edge - (canvas.t if rng.random() < 0.5 else 1 - canvas.t)) * 12
            + rng.normal(0, 0.3) * canvas.b / 6,
            0,
            1,
        )
        tone = random_colour(rng, 10, 230, 0.2) * (1 + 0.08 * noise(rng, 20, 40))[..., None]
        canvas.lay(np.clip(tone, 0, 255), side)
        return float(np.clip(edge, 0, 1))
    return 0.0
