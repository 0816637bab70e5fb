"""Objects like people and faces, without a face to find: backs of heads, arms, hands, cloth, letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from lidloop.synthetic.geometry import Floats
from lidloop.synthetic.paint import (
    Bytes,
    blend,
    crop_tile,
    curve,
    fill,
    fixed,
    hair_tile,
    mask_of,
    ring,
    window,
)
from lidloop.synthetic.people import sample_look
from lidloop.synthetic.truth import SceneOptions

_PLAIN: Final = SceneOptions(glasses=0, sunglasses=0)


def bystanders(image: Bytes, rng: np.random.Generator) -> None:
    """Draw up to four of them on a background (h, w, 3), in place."""
    h, w = image.shape[:2]
    kinds: tuple[Callable[[Bytes, np.random.Generator, Floats, float], None], ...] = (
        back_of_head, back_of_head, limb, limb, blotch, letters, near_face,
    )  # fmt: skip
    for _ in range(int(rng.integers(0, 5))):
        r = float(np.exp(rng.uniform(np.log(8), np.log(0.3 * min(h, w) + 9))))
        kinds[int(rng.integers(0, len(kinds)))](image, rng, rng.uniform((0, 0), (w, h)), r)


def back_of_head(image: Bytes, rng: np.random.Generator, centre: Floats, r: float) -> None:
    """Head seen from behind, with ears and shoulders; ``r`` is half its width in pixels."""
    look = sample_look(rng, _PLAIN)
    skin, hair = np.array(look.skin) * rng.uniform(0.5, 1.0), np.array(look.hair)
    torso = curve(
        centre + r * np.array([[-2.6, 5], [-2.4, 2.2], [-0.8, 1.3], [0.8, 1.3], [2.4, 2.2], [2.6, 5.0]])
    )
    fill(image, centre + r * np.array([[-0.6, 0.5], [0.6, 0.5], [0.7, 1.8], [-0.7, 1.8]]), skin * 0.9)
    fill(image, torso, np.array(look.cloth) * 0.9)
    for side in (-1, 1):
        fill(image, centre + r * (ring(16) * (0.16, 0.3) + (side * 0.98, 0.15)), skin)
    skull = centre + r * ring(40) * (1.0, rng.uniform(1.15, 1.4))
    colour = hair if look.cut != "bald" else skin
    fill(image, skull, colour)
    box = window(skull, image.shape, 0)
    if box is not None and look.cut != "bald":
        y1, y2, x1, x2 = box
        mask = mask_of(skull - (x1, y1), (y2 - y1, x2 - x1))
        tone = 1 + 0.25 * crop_tile(hair_tile(), rng, y2 - y1, x2 - x1)
        blend(image[y1:y2, x1:x2], mask, np.clip(colour * tone[..., None], 0, 255).astype(np.uint8))
    fill(image, centre + r * (ring() * 0.6 - 0.3), np.clip(colour * 1.3 + 12, 0, 255), opacity=0.3,
         feather=0.3 * r)  # fmt: skip


def limb(image: Bytes, rng: np.random.Generator, centre: Floats, r: float) -> None:
    """Bare arm or leg, shaded across, with a few fingers at its end."""
    skin = np.array(sample_look(rng, _PLAIN).skin)
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wide = r * rng.uniform(0.2, 0.5)
    bend = rng.normal(0, 0.5)
    spine = curve(np.array([[0, 0], [1.6, bend * 0.4], [3.2, bend]]) * r) @ turn.T + centre
    for share, tone in ((1.0, 0.6), (0.75, 0.85), (0.45, 1.0)):
        width = max(int(2 * wide * share), 1)
        cv2.polylines(
            image, [fixed(spine)], False, np.clip(skin * tone, 0, 255).tolist(), width, cv2.LINE_AA, 4
        )
    for _ in range(int(rng.integers(0, 6))):
        lean = angle + np.pi + rng.normal(0, 0.5)
        tip = centre + r * rng.uniform(0.5, 0.9) * np.array([np.cos(lean), np.sin(lean)])
        width = max(int(0.5 * wide), 1)
        line = fixed(np.stack([centre, tip]))
        cv2.polylines(image, [line], False, (skin * rng.uniform(0.75, 1)).tolist(), width, cv2.LINE_AA, 4)


def blotch(image: Bytes, rng: np.random.Generator, centre: Floats, r: float) -> None:
    """Shape in the colour of skin, softly shaded, without any feature."""
    skin = np.array(sample_look(rng, _PLAIN).skin)
    shape = curve(
        centre + ring(9) * r * rng.uniform(0.6, 1.2, (9, 1)) * (1, rng.uniform(0.7, 1.5)), closed=True
    )
    fill(image, shape, skin)
    fill(image, shape * 0.7 + (centre + r * rng.uniform(-0.4, 0.4, 2)) * 0.3, skin * rng.uniform(0.5, 0.8),
         opacity=0.6, feather=0.25 * r)  # fmt: skip


def letters(image: Bytes, rng: np.random.Generator, centre: Floats, r: float) -> None:
    """Rows of letters and digits, as on signs and posters."""
    signs = "ABDEGHKMOPQRSX0234589&%@#"
    colour = rng.uniform(0, 255, 3).tolist()
    size = max(r / 28, 0.3)
    for row in range(int(rng.integers(1, 4))):
        text = "".join(signs[int(k)] for k in rng.integers(0, len(signs), int(rng.integers(2, 9))))
        at = (int(centre[0] - r), int(centre[1] + row * 32 * size))
        cv2.putText(
            image, text, at, int(rng.integers(0, 5)), size, colour, max(int(2 * size), 1), cv2.LINE_AA
        )


def near_face(image: Bytes, rng: np.random.Generator, centre: Floats, r: float) -> None:
    """Disc with marks in an arrangement that no face has: one eye, three in a row, a mouth above."""
    skin = np.array(sample_look(rng, _PLAIN).skin) if rng.random() < 0.6 else rng.uniform(20, 240, 3)
    fill(image, centre + ring() * r * (1, rng.uniform(0.9, 1.35)), skin)
    layouts = (
        [(0.0, -0.2)],
        [(-0.5, 0.0), (0.0, 0.0), (0.5, 0.0)],
        [(0.0, -0.5), (0.0, 0.0), (0.0, 0.5)],
        [(-0.35, 0.5), (0.35, 0.5)],
        [(-0.4, -0.4), (0.4, 0.4)],
    )
    for x, y in layouts[int(rng.integers(0, len(layouts)))]:
        mark = centre + r * (ring(16) * (rng.uniform(0.08, 0.2), rng.uniform(0.05, 0.16)) + (x, y))
        fill(image, mark, skin * rng.uniform(0.1, 0.5))
    if rng.random() < 0.4:
        fill(image, centre + r * (ring(20) * (0.4, 0.07) + (0, -0.75)), skin * 0.5)
