"""Conversion of measurements from pixels of a decoded image to pixels of its file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lidloop.images import Decoded
from lidloop.labels import Face
from lidloop.screening.bands import subtract
from lidloop.screening.measurements import SIDES, EyeMeasurement, FaceMeasurement, Length, Pupil


def in_file_pixels(measured: FaceMeasurement, decoded: Decoded) -> FaceMeasurement:
    """Convert all coordinates and pixel lengths of a face; millimetres, pose and flag stay as they are.

    Args:
        measured: measurements in pixels of ``decoded.pixels``.
        decoded: the image, with its scale and offset in the file.
    """
    if decoded.factor == 1:
        return measured
    scale = measured.scale
    eyes = {side: _eye(eye, decoded) for side, eye in measured.eyes.items()}
    return replace(
        measured,
        face=face_in_file_pixels(measured.face, decoded),
        eyes=eyes,
        differences={
            name: replace(value, px=subtract(*(eyes[side].lengths[name] for side in SIDES)).px)
            for name, value in measured.differences.items()
        },
        scale=None if scale is None else replace(scale, mm_per_px=scale.mm_per_px / decoded.factor),
    )


def face_in_file_pixels(face: Face, decoded: Decoded) -> Face:
    """Convert the box and the landmarks of a face; see ``in_file_pixels``."""
    if decoded.factor == 1:
        return face
    points = np.concatenate([decoded.to_file(face.points[:, :2]), face.points[:, 2:]], axis=1)
    return Face(decoded.to_file(face.box.reshape(2, 2)).ravel(), points, face.origin, face.score)


def _eye(eye: EyeMeasurement, decoded: Decoded) -> EyeMeasurement:
    return replace(
        eye,
        lengths={name: _length(value, decoded.factor) for name, value in eye.lengths.items()},
        pupil=None if eye.pupil is None else _pupil(eye.pupil, decoded),
        upper_lid=decoded.to_file(eye.upper_lid),
        lower_lid=decoded.to_file(eye.lower_lid),
    )


def _pupil(pupil: Pupil, decoded: Decoded) -> Pupil:
    x, y = decoded.to_file(np.array([pupil.x, pupil.y]))
    radius = None if pupil.iris_radius is None else pupil.iris_radius * decoded.factor
    return replace(pupil, x=float(x), y=float(y), iris_radius=radius)


def _length(length: Length, factor: float) -> Length:
    return replace(length, px=round(length.px * factor, 2))
