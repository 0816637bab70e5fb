"""Screening of one image: face detection, then measurement. The service and the command line both use it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from lidloop.detection.detector import Detector, Image
from lidloop.images import Decoded
from lidloop.landmarks import patient_eyes
from lidloop.screening.eye_reading import lies_in
from lidloop.screening.file_pixels import in_file_pixels
from lidloop.screening.measurements import FaceMeasurement, Reason, Side
from lidloop.screening.ptosis import measure_face
from lidloop.screening.thresholds import Thresholds

MAX_FACES: Final = 50
CONF: Final = 0.5
"""Default of the smallest score of a returned face."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings and facts that a caller gives with an image, all optional.

    Attributes:
        mirrored: the picture was mirrored, as by a selfie camera: the sides are swapped.
        mm_per_px: millimetres per pixel of the upright picture at the face, where known.
        pupils: pupil centres (x, y) by patient's side, in pixels of the upright picture. Each is used for
            the face whose eye contains it.
        max_faces: largest number of faces returned, by falling score.
        conf: smallest score of a face.
        thresholds: thresholds of the flag in millimetres.
    """

    mirrored: bool = False
    mm_per_px: float | None = None
    pupils: Mapping[Side, tuple[float, float]] = field(default_factory=dict)
    max_faces: int = 10
    conf: float = CONF
    thresholds: Thresholds = field(default_factory=Thresholds)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that was used: name, registry version (None outside a registry), iteration, SHA-256 of its
    ONNX file."""

    name: str
    version: str | None
    iteration: int
    digest: str


@dataclass(frozen=True, slots=True, eq=False)
class Screening:
    """Measurements of all faces of an image.

    Attributes:
        width, height: of the upright image in the file, in pixels. All coordinates refer to it.
        mirrored: ``Options.mirrored``.
        faces: by falling score.
        model: the model that detected them.
        seconds: time by stage: ``detect``, ``measure``.
        omitted: number of faces left out beyond ``Options.max_faces``.
        unused: sides whose given pupil centre lies in no eye of that side, and is not used.
        damage: damage of the image file, None if there is none.
        unused_fields: number of form fields that are no parameters, and are not used.
    """

    width: int
    height: int
    mirrored: bool
    faces: tuple[FaceMeasurement, ...]
    model: ModelInfo
    seconds: Mapping[str, float]
    omitted: int = 0
    unused: tuple[Side, ...] = ()
    damage: Reason | None = None
    unused_fields: int = 0

    @property
    def warnings(self) -> tuple[Reason, ...]:
        """Damage of the file, and pupil centres of the caller that were not used."""
        unused = (
            Reason("pupil-unused", f"the pupil given as {side} lies in no eye of that side and was not used")
            for side in self.unused
        )
        fields = Reason("field-unused", "a field of the form is not a parameter and was not used")
        return (
            *(() if self.damage is None else (self.damage,)),
            *unused,
            *((fields,) if self.unused_fields else ()),
        )

    @property
    def found(self) -> int:
        """Number of faces detected, including those left out."""
        return len(self.faces) + self.omitted

    @property
    def empty(self) -> str | None:
        """Message to show if no face was found, else None."""
        if self.faces:
            return None
        return (
            "No face was found. Use an upright, sharp photograph of the whole face, at least 150 pixels "
            "between the outer corners of the eyes."
        )


def screen(
    image: Image | Decoded, detector: Detector, model: ModelInfo, options: Options | None = None
) -> Screening:
    """Detect and measure the faces of an image.

    Args:
        image: (h, w, 3) uint8 RGB, upright; or a decoded file. Options and result are in pixels of the file,
            also if it was decoded at a reduced scale.
        detector: a loaded model.
        model: description of the model, for the result.
        options: see ``Options``.

    Raises:
        LidloopError: for an array that is not an image.
    """
    options = options or Options()
    decoded = image if isinstance(image, Decoded) else Decoded(image, *image.shape[1::-1])
    scale = None if options.mm_per_px is None else options.mm_per_px * decoded.factor
    pupils = {side: _from_file(at, decoded) for side, at in options.pupils.items()}
    damage = _damage(decoded)
    start = time.perf_counter()
    found = detector.detect([decoded.pixels], conf=options.conf)[0]
    faces = found[: options.max_faces]
    detected = time.perf_counter()
    measured = tuple(
        in_file_pixels(
            measure_face(
                decoded.pixels,
                face,
                mirrored=options.mirrored,
                mm_per_px=scale,
                pupils=pupils,
                thresholds=options.thresholds,
                factor=decoded.factor,
                damage=damage,
            ),
            decoded,
        )
        for face in faces
    )
    seconds = {"detect": detected - start, "measure": time.perf_counter() - detected}
    return Screening(
        decoded.width,
        decoded.height,
        options.mirrored,
        measured,
        model,
        seconds,
        omitted=len(found) - len(faces),
        unused=_unused_pupils(measured, options),
        damage=damage,
    )


def _from_file(at: tuple[float, float], decoded: Decoded) -> tuple[float, float]:
    if decoded.factor == 1:
        return at
    x, y = decoded.from_file(np.array(at))
    return float(x), float(y)


def _damage(decoded: Decoded) -> Reason | None:
    if decoded.damage is None:
        return None
    return Reason(
        "damaged",
        f"{decoded.damage.text}; measurements may be wrong: send the original file or take a new photograph",
    )


def _unused_pupils(faces: Sequence[FaceMeasurement], options: Options) -> tuple[Side, ...]:
    used = {
        side
        for face in faces
        for side, eye in face.eyes.items()
        if eye.pupil is not None and eye.pupil.method == "given"
    }
    return tuple(side for side in options.pupils if side not in used)


def exchanged_pupils(screening: Screening, options: Options) -> tuple[Side, ...]:
    """Sides whose given pupil centre lies in an eye of the other side.

    Most likely the picture is mirrored and ``Options.mirrored`` was not set, or the caller gave the sides as
    they appear in the picture.
    """
    eyes = patient_eyes(mirrored=options.mirrored)
    return tuple(
        side
        for side in screening.unused
        if any(
            lies_in(face.face.points, eyes["OS" if side == "OD" else "OD"], options.pupils[side])
            for face in screening.faces
        )
    )
