"""Read a DICOM photograph: limits on size, parsing, checks of the header, and only then decoding.

- **Orientation.** Where Patient Orientation describes a frontal picture, the image is turned and unmirrored:
  rows run to the patient's left, columns to the feet (PS3.3, C.7.6.1.1.1). EXIF in an encapsulated JPEG is
  ignored, because DICOM viewers show the stored matrix, too.
- **Burned-in text** is not checked: pixels are neither stored nor shown.

Error messages name attributes, never their values. Messages of pydicom are not passed on, for they may hold
patient data.
"""

from __future__ import annotations

import functools
import io
import logging
import warnings
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidloop.errors import ImageError
from lidloop.images import Decoded
from serving.protocols.dicom.header import (
    CLASSES,
    LOSSLESS,
    SECONDARY_CAPTURE,
    SYNTAXES,
    WANTED,
    acquisition_time,
    mm_per_px,
    option_hint,
    read_header,
    read_pixels,
    strings,
    uid_name,
)
from serving.protocols.dicom.pixels import decode
from serving.protocols.dicom.scan import (
    IMPLICIT,
    DicomDamageError,
    DicomKindError,
    DicomSizeError,
    scan,
    transfer_syntax,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MEDIA_TYPE: Final = "application/dicom"


class Limits(NamedTuple):
    """Limits of a DICOM file.

    Attributes:
        bytes: largest file, checked before parsing.
        pixels: largest decoded frame, checked before decoding.
        reduced_pixels: largest frame in baseline JPEG; above ``pixels`` it is decoded at a reduced scale.
    """

    bytes: int = 25_000_000
    pixels: int = 25_000_000
    reduced_pixels: int = 0


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True, eq=False)
class DicomPicture:
    """A photograph from a DICOM file, and the attributes that answers need.

    Attributes:
        decoded: the image; upright and unmirrored where ``oriented``, else as stored.
        oriented: True if Patient Orientation gives the orientation of the image. The request parameter
            ``mirrored`` then contradicts the file.
        mm_per_px: millimetres per pixel at the face; None if the file has no calibrated value.
        laterality: Image Laterality: ``R``, ``L``, ``B`` (both) or None.
        header: identifiers, and the attributes of patient and study that a structured report repeats. Patient
            data: kept in memory only, excluded from ``repr``.
        invalid: keywords of the identifiers that are missing or not valid UIDs; ``header`` lacks them.
    """

    decoded: Decoded = field(repr=False)
    oriented: bool
    mm_per_px: float | None
    laterality: str | None
    header: Dataset = field(repr=False)
    invalid: tuple[str, ...] = ()

    @property
    def image(self) -> NDArray[np.uint8]:
        """(h, w, 3) uint8 RGB."""
        return self.decoded.pixels

    @property
    def study_uid(self) -> str | None:
        """Study Instance UID; None if it is not valid."""
        return None if "StudyInstanceUID" in self.invalid else str(self.header.StudyInstanceUID)

    @property
    def taken(self) -> datetime | None:
        """Acquisition time, in the file's offset from UTC if it has one; None without a valid date."""
        return acquisition_time(self.header)


@functools.cache
def disable_pydicom_logging() -> None:
    """Import pydicom and switch off its warnings and log lines, which repeat values of attributes.

    Cached: only the first call does something.
    """
    import pydicom.config

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    for name in ("pydicom", "highdicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", module=rf"{name}\b")


def read(data: bytes, limits: Limits = DEFAULT_LIMITS, *, secondary_capture: bool = False) -> DicomPicture:
    """Read a DICOM file (PS3.10) in memory.

    Args:
        data: content of the file.
        limits: largest file and image.
        secondary_capture: accept ``SECONDARY_CAPTURE`` and ``LOSSLESS`` as well.

    Raises:
        DicomKindError: the SOP class, transfer syntax or pixel format is not accepted.
        DicomSizeError: the file or the image is too large.
        DicomDamageError: the file is damaged in any other way. All three are ``ImageError``.
    """
    if len(data) > limits.bytes:
        raise DicomSizeError(f"the DICOM file has {len(data)} bytes, the limit is {limits.bytes}")
    disable_pydicom_logging()
    try:
        return _read(data, limits, secondary_capture)
    except ImageError as error:
        # Raise a new error: the cause of the old one may hold values of the file.
        raise type(error)(str(error)) from None
    except Exception:
        # pydicom raises exceptions of any type for broken files, with values of attributes in the message.
        raise DicomDamageError("the DICOM file is damaged or cut short") from None


def _read(data: bytes, limits: Limits, secondary_capture: bool) -> DicomPicture:
    from pydicom.datadict import tag_for_keyword
    from pydicom.filereader import read_dataset

    classes = CLASSES | (SECONDARY_CAPTURE if secondary_capture else {})
    syntaxes = SYNTAXES | (LOSSLESS if secondary_capture else {})
    syntax, at = transfer_syntax(data)
    if syntax not in syntaxes:
        raise DicomKindError(
            f"the transfer syntax{uid_name(syntax)} is not accepted; accepted are "
            f"{', '.join(known.name for known in syntaxes.values())}{option_hint(syntax in LOSSLESS)}"
        )
    wanted = frozenset(tag for keyword in WANTED if (tag := tag_for_keyword(keyword)) is not None)
    largest = max(limits.pixels, limits.reduced_pixels)
    file = scan(data, at, syntax, wanted=wanted, max_inflated=4 * limits.pixels)
    dataset = read_dataset(io.BytesIO(file.dataset), syntax == IMPLICIT, True)
    header, invalid = read_header(dataset, classes)
    coding = syntaxes[syntax].coding
    pixels = read_pixels(dataset, syntaxes[syntax], largest if coding == "jpeg" else limits.pixels)
    scale = mm_per_px(dataset)
    if not file.pixels:
        raise DicomDamageError("the DICOM file has no Pixel Data")
    decoded = decode(file.pixels, syntax, coding, pixels, max_pixels=limits.pixels)
    upright = _upright(decoded, strings(dataset, "PatientOrientation"))
    laterality = strings(dataset, "ImageLaterality")
    return DicomPicture(
        decoded=decoded if upright is None else upright,
        oriented=upright is not None,
        mm_per_px=scale,
        laterality=laterality[0] if laterality in (["R"], ["L"], ["B"]) else None,
        header=header,
        invalid=invalid,
    )


def _upright(decoded: Decoded, orientation: list[str]) -> Decoded | None:
    """Turn an image so that its rows run to the patient's left and its columns to the feet.

    Args:
        decoded: the image as stored.
        orientation: values of Patient Orientation, the directions of rows and of columns. The first letter is
            the main direction (``L``, ``R``, ``H`` or ``F``); a second one (``LA``) is ignored.

    Returns:
        The upright image; None if the directions are not those of a face seen from the front.
    """
    if len(orientation) != 2 or not all(orientation):
        return None
    row, column = (direction[0] for direction in orientation)
    turned = row in "HF"
    if turned:
        row, column = column, row
    if row not in "LR" or column not in "HF":
        return None
    return decoded.turned(swapped=turned, flip_x=row == "R", flip_y=column == "H")
