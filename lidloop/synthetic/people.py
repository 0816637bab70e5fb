"""Random people: face shapes, expressions, colours, hair and glasses."""

from __future__ import annotations

import numpy as np

from lidloop.synthetic.eyes import EyeAppearance
from lidloop.synthetic.geometry import DROP_AT_FULL_PTOSIS_MM, IRIS_MM, Expression, Floats, Identity
from lidloop.synthetic.looks import RGB, Look
from lidloop.synthetic.truth import SceneOptions

_SKIN = ((246, 212, 192), (236, 196, 172), (222, 178, 150), (214, 166, 134), (196, 148, 114),
         (176, 126, 92), (150, 104, 74), (122, 82, 58), (96, 64, 46), (70, 46, 34))  # fmt: skip
_HAIR = ((24, 20, 20), (44, 32, 26), (72, 50, 34), (112, 78, 48), (170, 132, 84), (206, 176, 124),
         (126, 58, 32), (128, 126, 126), (206, 204, 200))  # fmt: skip
_IRIS = ((74, 48, 30), (98, 66, 40), (120, 92, 54), (104, 112, 74), (92, 120, 140), (120, 140, 152))


def _rgb(value: Floats) -> RGB:
    r, g, b = np.clip(value, 0, 255)
    return float(r), float(g), float(b)


def _near(rng: np.random.Generator, middle: float, sigma: float) -> float:
    """Sample a normal distribution, clipped at 2.5 sigma."""
    return middle + sigma * float(np.clip(rng.standard_normal(), -2.5, 2.5))


def sample_identity(rng: np.random.Generator) -> Identity:
    """Sample a face shape; outer-canthal distance 90 mm ± 4 %, iris ± 1.5 %."""
    return Identity(
        inner_half=_near(rng, 16.0, 0.9),
        fissure=_near(rng, 29.0, 1.0),
        tilt=_near(rng, 1.8, 1.1),
        mrd1=_near(rng, 3.9, 0.45),
        mrd2=_near(rng, 5.2, 0.4),
        lid_shape=(
            _near(rng, 0.72, 0.05), _near(rng, 0.80, 0.06), _near(rng, 0.85, 0.06), _near(rng, 0.72, 0.05)
        ),
        iris=_near(rng, IRIS_MM, 0.18),
        crease=_near(rng, 3.4, 0.7),
        brow_height=_near(rng, 0.0, 2.0),
        brow_arch=_near(rng, 1.0, 0.3),
        brow_width=_near(rng, 1.0, 0.2),
        nose_length=_near(rng, 1.0, 0.06),
        nose_width=_near(rng, 1.05, 0.12),
        nose_depth=_near(rng, 1.0, 0.12),
        mouth_width=_near(rng, 1.0, 0.07),
        mouth_drop=_near(rng, 0.0, 2.0),
        upper_lip=_near(rng, 1.0, 0.16),
        lower_lip=_near(rng, 1.0, 0.14),
        face_width=_near(rng, 1.0, 0.045),
        jaw_width=_near(rng, 1.0, 0.08),
        chin=_near(rng, 0.0, 4.0),
        asymmetry=_near(rng, 0.0, 0.7),
    )  # fmt: skip


def sample_expression(
    rng: np.random.Generator, options: SceneOptions, ptosis: tuple[float, float]
) -> Expression:
    """Sample an expression. The brow is often raised over a lid with ptosis."""
    lift = [3.0 * d * DROP_AT_FULL_PTOSIS_MM / 5 * float(rng.random() < 0.6) for d in ptosis]
    raised = float(rng.exponential(1.2)) if rng.random() < 0.3 else 0.0
    spoken = rng.random()
    mouth = 0.0 if spoken < 0.6 else float(rng.uniform(1.5, 9)) if spoken < 0.9 else float(rng.uniform(9, 24))
    opening = float(rng.uniform(*options.opening))
    if rng.random() < options.blink:
        opening = float(rng.uniform(0.0, 0.25))
    gaze = rng.normal(0, 0.4, 2) * options.gaze
    gaze = np.clip(gaze * (1, 0.6), -options.gaze, options.gaze)
    return Expression(
        mouth_open=mouth,
        smile=float(np.clip(rng.normal(0.2, 0.45), -0.5, 1.2)),
        brow_raise=(raised + lift[0], raised + lift[1]),
        opening=opening,
        gaze=(float(gaze[0]), float(gaze[1])),
    )


def sample_look(rng: np.random.Generator, options: SceneOptions) -> Look:
    """Sample colours, hair, beard and glasses."""
    place = rng.uniform(0, len(_SKIN) - 1)
    k = int(place)
    tone = np.array(_SKIN[k]) + (place - k) * (
        np.array(_SKIN[min(k + 1, len(_SKIN) - 1)]) - np.array(_SKIN[k])
    )
    skin = tone * rng.uniform(0.94, 1.05, 3)
    fair = max(0.0, 1 - place / 5)
    hair_row = int(rng.integers(0, len(_HAIR) if fair > 0.3 else 3)) if rng.random() > 0.12 else 7
    hair = np.array(_HAIR[hair_row]) * rng.uniform(0.85, 1.15)
    iris = np.array(_IRIS[int(rng.integers(0, len(_IRIS) if fair > 0.3 else 2))]) * rng.uniform(0.8, 1.15)
    cut = str(rng.choice(["short", "fringe", "bob", "long", "bald"], p=[0.42, 0.1, 0.14, 0.22, 0.12]))
    wear = rng.random()
    if wear < options.hat:
        cut = "cap" if wear < 0.6 * options.hat else "headscarf"
        hair = rng.uniform(15, 235, 3)
    lush = cut in ("bob", "long", "headscarf", "fringe")
    made_up = rng.random() < (0.5 if lush else 0.05)
    lips = skin * (0.86, 0.60, 0.60) if not made_up else skin * (0.85, 0.32, 0.38) + (25, 0, 5)
    beard = float(rng.uniform(0.25, 0.95)) if not lush and rng.random() < options.beard * 2 else 0.0
    worn = rng.random()
    glasses = (
        "sun"
        if worn < options.sunglasses
        else "clear"
        if worn < options.sunglasses + options.glasses
        else "none"
    )
    base_hair = np.array(_HAIR[hair_row])
    look = EyeAppearance(
        iris=_rgb(iris),
        sclera=_rgb(np.array([232.0, 224, 218]) * rng.uniform(0.88, 1.03)),
        pupil=float(rng.uniform(0.26, 0.48)),
        phase=float(rng.uniform(0, 6.28)),
        lash=float(rng.uniform(0.65, 1.0) if made_up else rng.uniform(0.3, 0.75)),
        lash_length=float(rng.uniform(4, 7)),
        shadow=float(rng.uniform(0.1, 0.5)) if made_up else 0.0,
        shadow_colour=_rgb(rng.uniform(40, 150, 3)),
        crease=float(rng.uniform(0.1, 0.6)),
        bag=float(rng.uniform(0.05, 0.45)),
        window_reflex=bool(rng.random() < 0.5),
    )
    return Look(
        skin=_rgb(skin),
        lips=_rgb(lips * rng.uniform(0.9, 1.1)),
        hair=_rgb(hair),
        brow=_rgb(base_hair * rng.uniform(0.7, 1.0)),
        brow_strength=float(rng.uniform(0.45, 1.0)),
        brow_width=float(rng.uniform(0.7, 1.35)),
        cut=cut,
        hairline=float(rng.uniform(-6, 14)),
        volume=float(rng.uniform(1.02, 1.16)),
        cloth=_rgb(rng.uniform(15, 235, 3)),
        blush=float(rng.uniform(0.05, 0.5)),
        wrinkles=float(rng.beta(1.5, 3)),
        beard=beard,
        freckles=float(rng.uniform(0.2, 1)) if rng.random() < 0.08 else 0.0,
        glasses=glasses,
        frame=_rgb(rng.uniform(10, 90, 3) if rng.random() < 0.7 else rng.uniform(80, 220, 3)),
        frame_width=float(rng.uniform(0.8, 3.4)),
        lens=(float(rng.uniform(21, 27)), float(rng.uniform(15, 23))),
        lens_power=float(rng.uniform(2, 5)),
        lens_tint=float(rng.uniform(0.8, 0.97)) if glasses == "sun" else float(rng.uniform(0.0, 0.15)),
        grain=float(rng.uniform(0.01, 0.06)),
        eye=look,
    )
