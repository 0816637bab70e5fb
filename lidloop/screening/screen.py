"""From a picture to what is said about the faces in it: detection, then measurement. One path for the
service and for the command line."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from lidloop.detection.detector import Detector, Image
from lidloop.landmarks import NAMES, patient_eyes
from lidloop.screening.eye_reading import lies_in
from lidloop.screening.ptosis import (
    NOTICE,
    SIDES,
    EyeMeasurement,
    FaceMeasurement,
    Length,
    Reason,
    Side,
    Thresholds,
    measure_face,
)

MAX_FACES: Final = 50
CONF: Final = 0.5
"""Score from which a face is answered, unless somebody says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a caller may say about a picture.

    Attributes:
        mirrored: the picture was mirrored, as by a selfie camera: the sides are swapped.
        mm_per_px: millimetres per pixel of the upright picture at the face, where known.
        pupils: pupil centres (x, y) by patient's side, in pixels of the upright picture. They belong to the
            face in whose eyes they lie.
        max_faces: largest number of faces answered, by falling score.
        conf: smallest score of a face.
        thresholds: when an eye is flagged.
    """

    mirrored: bool = False
    mm_per_px: float | None = None
    pupils: Mapping[Side, tuple[float, float]] = field(default_factory=dict)
    max_faces: int = 10
    conf: float = CONF
    thresholds: Thresholds = field(default_factory=Thresholds)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that answered: name, registry version (None outside a registry), iteration, SHA-256 of its
    network."""

    name: str
    version: str | None
    iteration: int
    digest: str


@dataclass(frozen=True, slots=True, eq=False)
class Screening:
    """What is said about a picture.

    Attributes:
        width, height: of the upright picture in pixels.
        mirrored: as the caller said.
        faces: by falling score.
        model: who answered.
        seconds: time by stage: ``detect``, ``measure``.
        omitted: faces that were found beyond ``Options.max_faces``, and are left out.
        unused: sides whose given pupil centre lies in no eye of that side, and is not used.
    """

    width: int
    height: int
    mirrored: bool
    faces: tuple[FaceMeasurement, ...]
    model: ModelInfo
    seconds: Mapping[str, float]
    omitted: int = 0
    unused: tuple[Side, ...] = ()

    @property
    def warnings(self) -> tuple[Reason, ...]:
        """What the caller said and was not followed."""
        return tuple(
            Reason("pupil-unused", f"the pupil given as {side} lies in no eye of that side and was not used")
            for side in self.unused
        )

    @property
    def found(self) -> int:
        """Faces in the picture, those left out among them."""
        return len(self.faces) + self.omitted

    @property
    def empty(self) -> str | None:
        """Why there is no face, None where there is one."""
        if self.faces:
            return None
        return (
            "No face was found. Use an upright, sharp photograph of the whole face, at least 150 pixels "
            "between the outer corners of the eyes."
        )


def screen(image: Image, detector: Detector, model: ModelInfo, options: Options | None = None) -> Screening:
    """Detect and measure the faces of a picture.

    Args:
        image: (h, w, 3) uint8 RGB, upright.
        detector: a loaded model. model: what it is.
        options: see ``Options``.

    Raises:
        LidloopError: for an array that is no picture.
    """
    options = options or Options()
    start = time.perf_counter()
    found = detector.detect([image], conf=options.conf)[0]
    faces = found[: options.max_faces]
    detected = time.perf_counter()
    measured = tuple(
        measure_face(
            image,
            face,
            mirrored=options.mirrored,
            mm_per_px=options.mm_per_px,
            pupils=options.pupils,
            thresholds=options.thresholds,
        )
        for face in faces
    )
    seconds = {"detect": detected - start, "measure": time.perf_counter() - detected}
    height, width = image.shape[:2]
    omitted = len(found) - len(faces)
    unused = _unused_pupils(measured, options)
    return Screening(width, height, options.mirrored, measured, model, seconds, omitted, unused)


def _unused_pupils(faces: Sequence[FaceMeasurement], options: Options) -> tuple[Side, ...]:
    used = {
        side
        for face in faces
        for side, eye in face.eyes.items()
        if eye.pupil is not None and eye.pupil.method == "given"
    }
    return tuple(side for side in options.pupils if side not in used)


def exchanged_pupils(screening: Screening, options: Options) -> tuple[Side, ...]:
    """Sides whose given pupil centre lies in an eye of the other side: most likely the picture is mirrored
    and nobody said so, or the caller counts sides as they are in the picture."""
    eyes = patient_eyes(mirrored=options.mirrored)
    return tuple(
        side
        for side in screening.unused
        if any(
            lies_in(face.face.points, eyes["OS" if side == "OD" else "OD"], options.pupils[side])
            for face in screening.faces
        )
    )


def to_json(screening: Screening) -> dict[str, Any]:
    """The plain answer, ready for JSON (no NaN): pixels to two decimals, millimetres to two."""
    return {
        "model": {
            "name": screening.model.name,
            "version": screening.model.version,
            "iteration": screening.model.iteration,
            "digest": screening.model.digest,
        },
        "image": {"width": screening.width, "height": screening.height, "mirrored": screening.mirrored},
        "faces": [_face(face) for face in screening.faces],
        "omitted": screening.omitted,
        "empty": screening.empty,
        "warnings": [_reason(reason) for reason in screening.warnings],
        "notice": NOTICE,
    }


def _face(item: FaceMeasurement) -> dict[str, Any]:
    scale = item.scale
    return {
        "box": [round(float(v), 2) for v in item.face.box],
        "score": round(item.face.score, 4),
        "landmarks": {
            name: [round(float(x), 2), round(float(y), 2)]
            for name, (x, y, _) in zip(NAMES, item.face.points, strict=True)
        },
        "eyes": {side: _eye(item.eyes[side]) for side in SIDES},
        "differences": {name: _length(value) for name, value in item.differences.items()},
        "pose": {"roll_deg": round(item.roll, 2), "yaw": round(item.yaw, 3)},
        "scale": None
        if scale is None
        else {
            "mm_per_px": round(scale.mm_per_px, 6),
            "method": scale.method,
            "relative_error": round(scale.relative_error, 4),
        },
        "quality": {"usable": not item.problems, "problems": [_reason(r) for r in item.problems]},
        "flag": {
            "level": item.flag.level,
            "sides": list(item.flag.sides),
            "reasons": [_reason(r) for r in item.flag.reasons],
        },
    }


def _eye(eye: EyeMeasurement) -> dict[str, Any]:
    pupil = eye.pupil
    return {
        **{name: _length(eye.lengths[name]) for name in eye.lengths},
        "height_to_width": None if eye.height_to_width is None else round(eye.height_to_width, 4),
        "pupil": None
        if pupil is None
        else {
            "x": round(pupil.x, 2),
            "y": round(pupil.y, 2),
            "method": pupil.method,
            "quality": round(pupil.quality, 3),
            "iris_radius": None if pupil.iris_radius is None else round(pupil.iris_radius, 2),
        },
        "lids": {
            "method": eye.lid_method,
            "quality": round(eye.lid_quality, 3),
            "upper": np.round(eye.upper_lid, 2).tolist(),
            "lower": np.round(eye.lower_lid, 2).tolist(),
        },
        "withheld": {name: _reason(reason) for name, reason in eye.withheld.items()},
    }


def _length(value: Length) -> dict[str, Any]:
    return {
        "px": round(value.px, 2),
        "mm": None if value.mm is None else round(value.mm, 2),
        "mm_error": None if value.mm_error is None else round(value.mm_error, 2),
        "method": value.method,
    }


def _reason(reason: Reason) -> dict[str, str]:
    return {"code": reason.code, "text": reason.text}
