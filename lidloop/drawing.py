"""Faces, landmarks and boxes drawn on RGB pictures. Pure: arrays in, arrays out.

Coordinates are pixels of the upright picture with the first pixel's centre at 0.0. Strokes grow and shrink
with the face, so that a face of 30 pixels and one of 3,000 are both legible; on all but small faces they
have a dark rim, so that they show on any skin and background. The colours are those of Okabe and Ito (Color
Universal Design, 2008), told apart with every common colour vision deficiency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.labels import HUMAN, Face
from lidloop.landmarks import GROUPS

RGB = tuple[int, int, int]
Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

PARTS: Final[dict[str, RGB]] = {
    "brows": (230, 159, 0),
    "eyes": (86, 180, 233),
    "nose": (0, 200, 145),  # the bluish green, lifted: the original sinks into dark skin
    "lips": (225, 130, 185),
}
"""Colour of the landmarks of a part of the face."""

HUMAN_COLOUR: Final[RGB] = (64, 150, 255)
GROWN_COLOUR: Final[RGB] = (255, 110, 20)
DROPPED_COLOUR: Final[RGB] = (240, 228, 66)
RIM: Final[RGB] = (16, 16, 16)

PART_OF_GROUP: Final[dict[str, str]] = {
    "left_brow": "brows", "right_brow": "brows", "nose_bridge": "nose", "nose_base": "nose",
    "left_eye": "eyes", "right_eye": "eyes", "outer_lip": "lips", "inner_lip": "lips",
}  # fmt: skip
CLOSED: Final = frozenset({"left_eye", "right_eye", "outer_lip", "inner_lip"})
"""Groups whose last point is connected with the first one."""
_SHIFT: Final = 4  # OpenCV draws in sixteenths of a pixel
_LIMIT: Final = 30_000.0  # OpenCV's fixed point overflows far outside the picture


class Stroke(NamedTuple):
    """Widths in pixels: of lines, of a landmark's radius (0: no dots), and of the rim around both."""

    line: int
    dot: float
    rim: int


def stroke_for(size: float) -> Stroke:
    """Strokes for a face (or picture) whose longer side is ``size`` pixels.

    Dots would melt into each other on a face under about 60 pixels, where neighbouring lid points lie 2
    pixels apart: such a face gets its contours only. Under about 140 pixels a rim would be as wide as what
    it surrounds.
    """
    line = max(1, round((max(size, 1.0) / 75) ** 0.6))
    dot = 0.0 if size < 60 else max(1.0, size / 110)
    return Stroke(line, dot, 0 if size < 140 else max(1, round(size / 400)))


def css(colour: RGB) -> str:
    """Colour in the notation of CSS.

    Example:
        >>> css((255, 110, 20))
        '#ff6e14'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)


def colour_of(face: Face) -> RGB:
    """Box colour of a face by its origin: human or grown."""
    return HUMAN_COLOUR if face.origin == HUMAN else GROWN_COLOUR


def draw_faces(
    image: Image,
    faces: Sequence[Face],
    *,
    captions: Sequence[str] | None = None,
    colour: Callable[[Face], RGB] = colour_of,
    boxes: bool = True,
    landmarks: bool = True,
) -> Image:
    """Draw faces on a copy of a picture.

    Args:
        image: (h, w, 3) RGB.
        faces: boxes and points in pixels of ``image``.
        captions: a short text per face, set above its box (``""`` for none).
        colour: box colour of a face; by default human and grown labels differ.
        boxes: draw the boxes.
        landmarks: draw the 51 points and the contours between them; points of visibility 0 are left out,
            those of visibility 1 are drawn hollow.

    Returns:
        A new (h, w, 3) RGB array; ``image`` stays as it was.

    Raises:
        ValueError: for a picture of another shape or type, or captions that do not match the faces.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected (h, w, 3) uint8 RGB, got {image.shape} {image.dtype}")
    if captions is not None and len(captions) != len(faces):
        raise ValueError(f"{len(captions)} captions for {len(faces)} faces")
    canvas = np.ascontiguousarray(image).copy()
    for face in faces:
        size = float(np.max(np.nan_to_num(face.box[2:] - face.box[:2])))
        stroke = stroke_for(size)
        if boxes and np.isfinite(face.box).all():
            draw_box(canvas, face.box, colour(face), width=max(2, stroke.line))
        if landmarks:
            draw_points(canvas, face.points, stroke)
    for k, face in enumerate(faces):  # after all strokes: a caption must stay readable
        if captions is not None and captions[k]:
            draw_caption(canvas, captions[k], (float(face.box[0]), float(face.box[1])), colour(face))
    return canvas


def draw_points(canvas: Image, points: Floats, stroke: Stroke) -> None:
    """Draw the contours and points of one face in place: (51, 3) x, y and visibility."""
    for group, indices in GROUPS.items():
        colour = PARTS[PART_OF_GROUP[group]]
        order = list(indices)
        pairs = list(pairwise(order))
        if group in CLOSED:
            pairs.append((order[-1], order[0]))
        segments = [(a, b) for a, b in pairs if points[a, 2] > 0 and points[b, 2] > 0]
        if stroke.rim:
            for a, b in segments:
                _line(canvas, points[a], points[b], RIM, stroke.line + 2 * stroke.rim)
        for a, b in segments:
            _line(canvas, points[a], points[b], colour, stroke.line)
    if stroke.dot:
        for group, indices in GROUPS.items():
            colour = PARTS[PART_OF_GROUP[group]]
            for k in indices:
                if points[k, 2] > 0:
                    _dot(canvas, points[k], colour, stroke, hollow=points[k, 2] < 2)


def draw_box(canvas: Image, box: Floats, colour: RGB, *, width: int = 1) -> None:
    """Draw a box (x1, y1, x2, y2) in place, with a dark rim."""
    corners = _fixed(np.asarray(box, dtype=np.float64).reshape(2, 2))
    for rgb, thick in ((RIM, width + 2), (colour, width)):
        cv2.rectangle(canvas, corners[0], corners[1], rgb, thick, cv2.LINE_AA, _SHIFT)


def draw_caption(canvas: Image, text: str, at: tuple[float, float], colour: RGB) -> None:
    """Write ``text`` on a filled plate in place, above the point ``at``, moved to stay inside the picture.

    The size follows the picture; text too wide for it is made smaller down to the smallest legible size.
    """
    height, width = canvas.shape[:2]
    font = cv2.FONT_HERSHEY_SIMPLEX
    scale = float(np.clip(max(height, width) / 1100, 0.35, 3.0))
    thick = max(1, round(scale * 1.6))
    (w, h), base = cv2.getTextSize(text, font, scale, thick)
    if w > width:
        scale = max(0.3, scale * width / w)
        thick = max(1, round(scale * 1.6))
        (w, h), base = cv2.getTextSize(text, font, scale, thick)
    pad = max(2, round(scale * 4))
    x = int(np.clip(at[0], 0, max(0, width - w - 2 * pad)))
    top = int(np.clip(at[1] - h - base - pad, 0, max(0, height - h - base - pad)))
    cv2.rectangle(canvas, (x, top), (x + w + 2 * pad, top + h + base + pad), colour, cv2.FILLED)
    bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 110
    ink = RIM if bright else (255, 255, 255)
    cv2.putText(canvas, text, (x + pad, top + h + pad // 2), font, scale, ink, thick, cv2.LINE_AA)


class Crop(NamedTuple):
    """A square cut out of a picture: its pixels, and how coordinates move into it."""

    image: Image
    origin: tuple[float, float]
    scale: float

    def move(self, xy: Floats) -> Floats:
        """Move (..., 2) coordinates of the picture into the crop, pixel centres onto pixel centres."""
        moved: Floats = (xy - np.asarray(self.origin) + 0.5) * self.scale - 0.5
        return moved

    def face(self, face: Face) -> Face:
        """The same face in the crop's coordinates."""
        box = self.move(face.box.reshape(2, 2)).reshape(4)
        points = np.concatenate([self.move(face.points[:, :2]), face.points[:, 2:]], axis=1)
        return Face(box, points, face.origin, face.score)


def crop_box(image: Image, box: Floats, *, size: int, margin: float = 0.4) -> Crop:
    """Cut the square around a box, ``margin`` of its longer side wider on each side, to ``size`` pixels.

    What lies outside the picture becomes grey, so that a face at the border shows as one.

    Raises:
        ValueError: for a box without an area or with what is not a finite number.
    """
    side = float(max(box[2] - box[0], box[3] - box[1]))
    if not np.isfinite(box).all() or side <= 0:
        raise ValueError(f"cannot crop around the box {box.tolist()}")
    half = side * (0.5 + margin)
    centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    x0, y0 = round(centre[0] - half), round(centre[1] - half)
    n = max(2, round(2 * half))
    height, width = image.shape[:2]
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x0 + n, width), min(y0 + n, height)
    square = np.full((n, n, 3), 128, dtype=np.uint8)
    if right > left and bottom > top:
        square[top - y0 : bottom - y0, left - x0 : right - x0] = image[top:bottom, left:right]
    method = cv2.INTER_AREA if n > size else cv2.INTER_CUBIC
    pixels: Any = cv2.resize(square, (size, size), interpolation=method)
    return Crop(pixels, (float(x0), float(y0)), size / n)


def fit(image: Image, *, size: int) -> Crop:
    """Shrink a picture until its longer side is at most ``size`` pixels; never enlarges."""
    height, width = image.shape[:2]
    scale = min(1.0, size / max(height, width))
    if scale == 1.0:
        return Crop(image, (0.0, 0.0), 1.0)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    pixels: Any = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    return Crop(pixels, (0.0, 0.0), scale)


def _fixed(xy: Floats) -> list[tuple[int, int]]:
    clipped = np.clip(np.nan_to_num(xy[..., :2]), -_LIMIT, _LIMIT)
    return [(int(x), int(y)) for x, y in np.rint(clipped * (1 << _SHIFT))]


def _line(canvas: Image, a: Floats, b: Floats, colour: RGB, width: int) -> None:
    start, end = _fixed(np.stack([a, b]))
    cv2.line(canvas, start, end, colour, width, cv2.LINE_AA, _SHIFT)


def _dot(canvas: Image, point: Floats, colour: RGB, stroke: Stroke, *, hollow: bool) -> None:
    (centre,) = _fixed(point[None])
    radius = round(stroke.dot * (1 << _SHIFT))
    rim = round((stroke.dot + stroke.rim) * (1 << _SHIFT))
    cv2.circle(canvas, centre, rim, RIM, cv2.FILLED, cv2.LINE_AA, _SHIFT)
    cv2.circle(canvas, centre, radius, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)
    if hollow:
        cv2.circle(canvas, centre, round(radius * 0.55), RIM, cv2.FILLED, cv2.LINE_AA, _SHIFT)
