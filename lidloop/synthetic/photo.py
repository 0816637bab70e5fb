"""People, light and cameras as in snapshots: the distributions of ``SceneOptions(style="photo")``.

Two things differ from the plain style. Faces, expressions and conditions vary more. And the points lie where
annotators of photographs put them, which is not where anatomy has them: in the average shape of the 68-point
scheme as published (the mean face of Kazemi and Sullivan's shape regression, CVPR 2014, as dlib has it), the
inner canthi lie 38 mm apart at 90 mm between the outer ones, where callipers find 32 to 33 mm (Farkas,
Anthropometry of the Head and Face, 1994): the point is put where the white of the eye begins, lateral to the
caruncle. Brows reach from 12 to 60 mm of the midline there, and people in snapshots smile: mouths are
wider and higher than at rest. The figures below are rounded from these two sources.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.synthetic.geometry import Expression, Identity
from lidloop.synthetic.looks import Light, Look
from lidloop.synthetic.paint import Bytes, crop_tile, noise_tile, ring
from lidloop.synthetic.truth import SceneOptions


def photo_options(*, negatives: bool = False) -> SceneOptions:
    """Options of the pictures that the starter weights learn from; without people for ``negatives``."""
    return SceneOptions(
        faces=(0, 0) if negatives else (1, 4),
        face_px=(24.0, 235.0),
        yaw=(-62.0, 62.0),
        pitch=(-26.0, 26.0),
        roll=(-32.0, 32.0),
        ptosis=0.1,
        opening=(0.55, 1.15),
        blink=0.06,
        glasses=0.2,
        sunglasses=0.06,
        mask=0.02,
        hand=0.08,
        clutter=0.08,
        border_cut=0.1,
        exposure=(0.6, 1.45),
        contrast=(0.1, 0.95),
        tint=0.18,
        distractors=5,
        blur=(0.0, 1.5),
        noise=(0.0, 11.0),
        jpeg=(35, 96),
        grey=0.12,
        hat=0.16,
        style="photo",
    )


def _near(rng: np.random.Generator, middle: float, sigma: float) -> float:
    return middle + sigma * float(np.clip(rng.standard_normal(), -2.5, 2.5))


def photo_expression(rng: np.random.Generator, base: Expression) -> Expression:
    """Add smiles that show teeth, lopsided mouths and lowered brows to an expression."""
    kind = rng.random()
    smile, teeth, mouth = base.smile, 0.0, base.mouth_open
    if kind < 0.33:
        smile, teeth, mouth = _near(rng, 1.35, 0.35), float(rng.uniform(2.5, 8)), float(rng.exponential(2.5))
    elif kind < 0.5:
        smile, teeth, mouth = _near(rng, 0.9, 0.3), 0.0, 0.0
    elif kind < 0.6:
        smile, teeth = _near(rng, 0.9, 0.5), float(rng.uniform(0, 5))
        mouth = float(rng.uniform(6, 30))
    elif kind < 0.68:
        smile = _near(rng, -0.6, 0.3)
    lift = _near(rng, -0.5, 2.6)
    return replace(
        base,
        smile=smile,
        teeth=teeth,
        mouth_open=mouth,
        skew=_near(rng, 0.0, 1.6),
        brow_raise=(base.brow_raise[0] + lift + _near(rng, 0, 0.8), base.brow_raise[1] + lift),
    )


def photo_identity(rng: np.random.Generator, expression: Expression) -> Identity:
    """Sample a face shape and move the points to where annotators put them."""
    grin = max(expression.smile, 0.0)
    inner = float(np.clip(_near(rng, 1.9, 0.5), 0.3, 3.2))
    outer = float(np.clip(_near(rng, 0.6, 0.3), 0.0, 1.3))
    return Identity(
        inner_half=_near(rng, 17.2, 1.2),
        fissure=_near(rng, 28.4, 1.5),
        tilt=_near(rng, 1.6, 1.6),
        mrd1=_near(rng, 3.7, 0.6),
        mrd2=_near(rng, 5.1 - 1.1 * min(grin, 1.4), 0.5),
        lid_shape=(_near(rng, 0.72, 0.08), _near(rng, 0.78, 0.08), _near(rng, 0.85, 0.08),
                   _near(rng, 0.72, 0.07)),
        iris=_near(rng, 11.7, 0.3),
        crease=_near(rng, 3.2, 1.0),
        canthi=(inner, outer),
        brow_height=_near(rng, 0.6, 2.4),
        brow_arch=_near(rng, 1.0, 0.45),
        brow_width=_near(rng, 1.0, 0.3),
        brow_inner=_near(rng, 2.2, 1.8),
        brow_outer=_near(rng, 4.2, 2.4),
        brow_slope=_near(rng, 1.0, 2.6),
        nose_length=_near(rng, 1.0, 0.075),
        nose_width=_near(rng, 1.17, 0.15) * (1 + 0.05 * grin),
        nose_depth=_near(rng, 1.0, 0.2),
        mouth_width=_near(rng, 1.02, 0.09),
        mouth_drop=_near(rng, -3.0, 2.8),
        upper_lip=_near(rng, 0.95, 0.26),
        lower_lip=_near(rng, 0.98, 0.22),
        corner_gap=_near(rng, 0.8, 0.4),
        face_width=_near(rng, 1.0, 0.065),
        jaw_width=_near(rng, 1.02, 0.12),
        chin=_near(rng, -5.0, 6.0),
        asymmetry=_near(rng, 0.0, 1.0),
    )  # fmt: skip


def photo_look(rng: np.random.Generator, look: Look, expression: Expression) -> Look:
    """Vary hair, brows, beard and skin beyond the plain style."""
    skin = np.array(look.skin)
    pale = rng.random() < 0.25  # brows hardly darker than the skin
    brow = skin * rng.uniform(0.55, 0.85) if pale else np.array(look.brow)
    loose = look.cut in ("short", "fringe", "bob", "long") and rng.random() < 0.45
    kind = str(rng.choice(["full", "goatee", "moustache"], p=[0.6, 0.25, 0.15]))
    colour = brow if rng.random() < 0.7 else np.array([140.0, 138, 136]) * rng.uniform(0.7, 1.3)
    bare = float(rng.uniform(0, 0.75)) if rng.random() < 0.6 else 0.0  # lips hardly redder than the skin
    lips = np.array(look.lips) * (1 - bare) + skin * (0.92, 0.8, 0.78) * bare
    return replace(
        look,
        lips=tuple(float(v) for v in lips),  # type: ignore[arg-type]
        brow=tuple(float(v) for v in (colour if look.beard > 0 else brow)),  # type: ignore[arg-type]
        brow_strength=float(rng.uniform(0.2, 1.0)),
        brow_width=float(rng.uniform(0.6, 1.6)),
        beard_kind=kind,
        locks=int(rng.integers(1, 9)) if loose else 0,
        hairline=look.hairline + _near(rng, 0.0, 7.0),
        volume=float(rng.uniform(1.0, 1.24)),
        folds=float(np.clip(0.55 * max(expression.smile, 0) * rng.uniform(0.2, 1), 0, 0.9)),
        grain=float(rng.uniform(0.01, 0.11)),
        lens=(float(rng.uniform(18, 28)), float(rng.uniform(11, 24))),
        lens_tint=look.lens_tint if look.glasses == "sun" else float(rng.uniform(0.0, 0.35)),
    )


def photo_light(rng: np.random.Generator, light: Light) -> Light:
    """Harder and lower light, and cast shadows on some faces."""
    x, y, z = light.direction
    hard = rng.random() < 0.3
    return replace(
        light,
        direction=(x * (1.6 if hard else 1.0), y + _near(rng, 0, 0.25), z),
        gloss=float(rng.uniform(0.02, 0.7)),
        shadows=int(rng.integers(1, 3)) if rng.random() < 0.35 else 0,
    )


def cast_shadows(shade: NDArray[np.float32], rng: np.random.Generator, count: int, scale: float) -> None:
    """Darken parts of a map of light (h, w) in place, with edges from sharp to soft."""
    h, w = shade.shape
    for _ in range(count):
        mask = np.zeros((h, w), np.float32)
        centre = rng.uniform((0, 0), (w, h))
        angle = rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0.25, 1.0) * max(h, w)
        shape = ring(12) * reach * rng.uniform(0.35, 1.2, (12, 1))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = (shape * (1, rng.uniform(0.2, 1.0))) @ turn.T + centre
        cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1.0, cv2.LINE_AA)
        mask = cv2.GaussianBlur(mask, (0, 0), max(float(rng.uniform(0.4, 7)) * scale, 0.4))
        shade *= 1 - mask * float(rng.uniform(0.15, 0.6))


def develop(image: Bytes, rng: np.random.Generator) -> Bytes:
    """Apply what cameras and software do: tone curve, saturation, vignette, small originals, sharpening."""
    h, w = image.shape[:2]
    out = image.astype(np.float32) / 255
    if rng.random() < 0.6:
        out **= float(np.exp(rng.normal(-0.12, 0.28)))
    if rng.random() < 0.35:  # contrast
        out = np.clip((out - 0.5) * float(rng.uniform(0.6, 1.6)) + 0.5, 0, 1)
    if rng.random() < 0.5:  # saturation
        grey = out.mean(axis=2, keepdims=True)
        out = grey + (out - grey) * float(rng.uniform(0.3, 1.4))
    if rng.random() < 0.2:
        y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j].astype(np.float32)
        out *= (1 - float(rng.uniform(0.15, 0.6)) * np.clip(x**2 + y**2 - 0.3, 0, 1.2))[..., None]
    if rng.random() < 0.15:  # uneven exposure, as of a film or a dirty lens
        tile = cv2.resize(crop_tile(noise_tile(), rng, 64, 64), (w, h), interpolation=cv2.INTER_CUBIC)
        out *= 1 + float(rng.uniform(0.01, 0.06)) * tile[..., None]
    if rng.random() < 0.3:  # a small original, enlarged
        share = float(rng.uniform(0.45, 0.9))
        small = cv2.resize(
            out, (max(int(w * share), 8), max(int(h * share), 8)), interpolation=cv2.INTER_AREA
        )
        out = cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.25:  # sharpened
        out += float(rng.uniform(0.3, 1.2)) * (
            out - cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.6, 1.6)))
        )
    done: Bytes = np.clip(np.round(out * 255), 0, 255).astype(np.uint8)
    return done
