"""Appearance of a person and of the light: colours, hair, glasses, shading."""

from __future__ import annotations

from dataclasses import dataclass, field

from lidloop.synthetic.eyes import EyeAppearance

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Colours, hair and glasses of a person. Lengths in mm, strengths 0…1."""

    skin: RGB = (214.0, 168.0, 140.0)
    lips: RGB = (178.0, 96.0, 92.0)
    hair: RGB = (60.0, 42.0, 30.0)
    brow: RGB = (60.0, 42.0, 30.0)
    brow_strength: float = 0.8
    brow_width: float = 1.0
    cut: str = "short"
    """``bald``, ``short``, ``fringe``, ``bob``, ``long``, ``cap`` or ``headscarf``."""
    hairline: float = 0.0
    volume: float = 1.08
    cloth: RGB = (70.0, 80.0, 110.0)
    blush: float = 0.25
    wrinkles: float = 0.2
    beard: float = 0.0
    moustache: float = 0.0
    freckles: float = 0.0
    glasses: str = "none"
    frame: RGB = (30.0, 28.0, 28.0)
    frame_width: float = 2.0
    lens: tuple[float, float] = (24.0, 19.0)
    lens_power: float = 3.0
    lens_tint: float = 0.05
    grain: float = 0.04
    beard_kind: str = "full"
    """``full``, ``goatee`` or ``moustache``."""
    locks: int = 0
    """Number of locks of hair that fall over the forehead."""
    folds: float = 0.0
    """Strength of the folds from nose to mouth beyond that of ``wrinkles``."""
    eye: EyeAppearance = field(default_factory=EyeAppearance)


@dataclass(frozen=True)
class Light:
    """Light on a face.

    Attributes:
        direction: towards the light; x right, y down, z to the viewer.
        contrast: share of the brightness that depends on the direction; the rest is ambient.
        gloss: strength of highlights.
    """

    direction: tuple[float, float, float] = (-0.35, -0.5, 0.8)
    contrast: float = 0.45
    gloss: float = 0.25
    shadows: int = 0
    """Number of shadows with an edge that objects outside the picture cast on each face."""
