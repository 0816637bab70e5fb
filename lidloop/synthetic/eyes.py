"""Eyes, computed for each pixel from the lid curves, with exact anti-aliasing at any size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lidloop.synthetic.geometry import EyeModel, Floats, Pose
from lidloop.synthetic.paint import Bytes, Colour, coverage, edge_distance, strokes, window


@dataclass(frozen=True)
class EyeAppearance:
    """Colours and strengths of the parts of an eye; lengths in mm, strengths 0…1."""

    iris: tuple[float, float, float] = (96.0, 66.0, 42.0)
    sclera: tuple[float, float, float] = (232.0, 224.0, 218.0)
    pupil: float = 0.36
    """Pupil radius over iris radius."""
    phase: float = 0.0
    lash: float = 0.75
    lash_colour: tuple[float, float, float] = (34.0, 24.0, 20.0)
    lash_length: float = 5.0
    shadow: float = 0.0
    shadow_colour: tuple[float, float, float] = (90.0, 60.0, 80.0)
    crease: float = 0.4
    bag: float = 0.2
    window_reflex: bool = True


def paint_eye(
    canvas: Bytes, eye: EyeModel, pose: Pose, look: EyeAppearance, skin: Colour, light: float
) -> None:
    """Paint one eye over skin.

    Args:
        pose: maps the face frame to the canvas.
        light: factor on the brightness of all but the reflexes.
    """
    across = (pose.scale * pose.rotation[:2] @ eye.plane).astype(np.float64)
    origin = pose.project(eye.corner)
    corners = np.array([[-4.0, -17], [eye.length + 5, -17], [eye.length + 5, 11], [-4, 11]])
    box = window(corners @ across.T + origin, canvas.shape, 2)
    det = abs(float(np.linalg.det(across)))
    if box is None or det < 1e-6 * pose.scale**2:
        return
    y1, y2, x1, x2 = box
    inverse = np.linalg.inv(across)
    xs, ys = np.arange(x1, x2) - origin[0], np.arange(y1, y2) - origin[1]
    a = inverse[0, 0] * xs[None, :] + inverse[0, 1] * ys[:, None]
    b = inverse[1, 0] * xs[None, :] + inverse[1, 1] * ys[:, None]
    inner = a / eye.length
    inside = (a > 0) & (a < eye.length)
    tall = float(np.linalg.norm(across[:, 1]))  # px per mm along b
    wide = det / tall  # px per mm across it

    upper, upper_slope = eye.margin(a, upper=True)
    lower, lower_slope = eye.margin(a, upper=False)

    def pixels(height: Floats, slope: Floats) -> Floats:
        """Distance in pixels to a curve from the height above it in mm."""
        return edge_distance(height * tall, slope * tall / wide)

    below_upper = pixels(b - upper, upper_slope)
    above_lower = pixels(lower - b, lower_slope)
    opening = coverage(below_upper) * coverage(above_lower) * coverage(np.minimum(a, eye.length - a) * wide)

    out = canvas[y1:y2, x1:x2].astype(np.float64)
    skin_now = np.asarray(skin, np.float64) * light

    def lay(colour: Floats, weight: Floats) -> None:
        nonlocal out
        out += (colour - out) * weight[..., None]

    # Lid skin: crease, shadow between crease and margin, the fold under the eye.
    fade = np.clip(np.minimum(inner + 0.08, 1.12 - inner) / 0.2, 0, 1)
    height = upper - b
    gap = eye.crease * (0.55 + 0.45 * np.sin(np.pi * np.clip(inner, 0, 1)))
    fold = np.exp(-(((height - gap) / 0.55) ** 2)) * fade
    lid = np.clip(1 - np.abs(height - gap / 2) / (gap / 2 + 0.8), 0, 1) * fade
    if look.shadow > 0:
        lay(np.asarray(look.shadow_colour) * light, np.clip(lid * 1.6, 0, 1) * look.shadow)
    lay(skin_now * 0.72, lid * 0.22)
    lay(skin_now * 0.42, fold * look.crease)
    under = np.exp(-(((b - lower - 4.5) / 1.3) ** 2)) * np.clip(np.minimum(inner, 1 - inner) / 0.25, 0, 1)
    lay(skin_now * 0.66, under * look.bag)

    # The globe.
    shade = 0.62 + 0.38 * np.clip((b - upper) / 3.2, 0, 1)
    shade *= 0.78 + 0.22 * np.clip(np.minimum(inner, 1 - inner) / 0.22, 0, 1)
    globe = np.asarray(look.sclera) * shade[..., None]
    caruncle = np.clip((3.2 - a) / 2.0, 0, 1)
    globe += (np.array([196.0, 120, 112]) * shade[..., None] - globe) * (0.75 * caruncle)[..., None]

    axes = pose.scale * pose.rotation[:2] @ eye.iris_axes
    centre = eye.at(np.array(eye.pupil[0]), np.array(eye.pupil[1]))
    offset = np.stack(np.broadcast_arrays(xs[None, :], ys[:, None]), axis=-1) + (
        origin - pose.project(centre)
    )
    back = np.linalg.inv(axes)
    q = offset @ back.T
    radius = np.sqrt((q**2).sum(axis=-1)) + 1e-9
    gradient = np.linalg.norm(q @ back, axis=-1) / radius

    def disc(r: float) -> Floats:
        return coverage((r - radius) / np.maximum(gradient, 1e-9))

    angle = np.arctan2(q[..., 1], q[..., 0])
    rel = radius / eye.iris
    streaks = (
        0.5 * np.sin(23 * angle + look.phase)
        + 0.35 * np.sin(41 * angle + 2.3 * look.phase + 4 * rel)
        + 0.3 * np.sin(9 * angle - look.phase)
    )
    tone = 1.0 + 0.22 * streaks * np.clip(rel * 2 - 0.5, 0, 1) * min(pose.scale / 2, 1)
    tone += 0.25 * np.exp(-(((rel - look.pupil - 0.14) / 0.13) ** 2))
    tone *= 1 - 0.62 * np.clip((rel - 0.8) / 0.2, 0, 1) ** 1.5
    iris = np.asarray(look.iris) * (tone * (0.55 + 0.45 * np.clip((b - upper) / 3.0, 0, 1)))[..., None]
    globe += (iris - globe) * disc(eye.iris)[..., None]
    globe += (np.array([10.0, 8, 8]) - globe) * disc(eye.iris * look.pupil)[..., None]
    globe *= light
    reflex = disc(max(eye.iris * 0.13, 0.45 / pose.scale))
    if look.window_reflex:
        side = q - np.array([-0.34, -0.36]) * eye.iris
        square = np.maximum(np.abs(side[..., 0]), np.abs(side[..., 1]) * 0.8)
        reflex = np.maximum(reflex, 0.6 * coverage((0.15 * eye.iris - square) * pose.scale))
    globe += (np.array([252.0, 252, 250]) * np.clip(0.35 + 0.65 * light, 0, 1) - globe) * reflex[..., None]
    lay(globe, opening)

    # Lid margins are drawn outside the opening, so that its edge stays at the true position.
    taper = np.clip(np.minimum(inner + 0.02, 1.06 - inner) / 0.14, 0, 1)
    thick = (0.5 + 0.55 * np.clip(inner, 0, 1)) * (0.6 + 0.5 * look.lash) * tall
    line = coverage(-below_upper) * coverage(thick + below_upper) * taper
    lay(np.asarray(look.lash_colour) * light, line * (0.35 + 0.6 * look.lash))
    rim = coverage(-above_lower) * coverage(0.9 * tall + above_lower) * np.clip(taper, 0, 1) * inside
    lay(skin_now * (1.04, 0.86, 0.84), rim * 0.55)
    lash_low = coverage(-above_lower - 0.7 * tall) * coverage(1.5 * tall + above_lower) * taper * inside
    lay(np.asarray(look.lash_colour) * light, lash_low * 0.28 * look.lash)
    np.clip(out, 0, 255, out=out)
    canvas[y1:y2, x1:x2] = np.round(out).astype(np.uint8)
    if pose.scale >= 1.1 and look.lash > 0.2:
        _lashes(canvas, eye, pose, look, light)


def _lashes(canvas: Bytes, eye: EyeModel, pose: Pose, look: EyeAppearance, light: float) -> None:
    """Paint single lashes, from the upper margin up and outwards."""
    t = np.linspace(0.22, 0.99, 22)
    a = t * eye.length
    b = eye.margin(a, upper=True)[0] - 0.25
    grow = look.lash_length * (0.55 + 0.45 * np.sin(np.pi * np.clip(t, 0.15, 0.85)))
    lean = (t - 0.45) * 1.1
    steps = np.array([0.0, 0.5, 1.0])
    along = a[:, None] + (lean * grow)[:, None] * steps**1.4
    rise = b[:, None] + grow[:, None] * (0.12 * (1 - steps) * steps - 0.62 * steps)
    lines = pose.project(eye.at(along, rise))
    strokes(canvas, lines, np.asarray(look.lash_colour) * light, 0.22 * pose.scale, opacity=0.75 * look.lash)
