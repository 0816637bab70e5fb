"""Reads a DICOM photograph: parsed with limits, checked by its header, and only then decoded.

Accepted are VL Photographic Image Storage and Ophthalmic Photography 8 Bit Image Storage: one frame, 8 bits,
colour or grey, uncompressed or in a compression whose decoder is installed (``SYNTAXES``); by option also
Secondary Capture and JPEG Lossless. Of the other attributes only those are read that a structured report
repeats of the patient and the study.

- **Which way up.** Where Patient Orientation says how a frontal picture lies, it is turned and unmirrored to
  rows towards the patient's left and columns towards the feet (PS3.3, C.7.6.1.1.1). EXIF inside an
  encapsulated JPEG is not looked at: DICOM viewers show the stored matrix, too.
- **Scale.** Pixel Spacing is used only where Pixel Spacing Calibration Type is ``FIDUCIAL``, calibrated with
  an object of known size. Otherwise it is not about the face: Ophthalmic Photography defines it in the
  retina, and exports of photographs fill in the screen's or the sensor's (PS3.3, C.8.17.2 and 10.7).
- **Burned-in text** changes nothing: pixels are neither kept nor shown.

Messages of errors name attributes, never their values, and pydicom's own are not passed on.
"""

from __future__ import annotations

import functools
import io
import logging
import math
import re
import warnings
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidloop.errors import ImageError
from lidloop.images import Decoded
from serving.protocols.dicom.pixels import Pixels, decode
from serving.protocols.dicom.scan import (
    IMPLICIT,
    UID,
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
        bytes: of the file, checked before it is parsed.
        pixels: of the decoded frame, checked before it is decoded.
        reduced_pixels: of a frame in baseline JPEG, which above ``pixels`` is decoded at a reduced scale.
    """

    bytes: int = 25_000_000
    pixels: int = 25_000_000
    reduced_pixels: int = 0


DEFAULT_LIMITS: Final = Limits()

CLASSES: Final[dict[str, str]] = {
    "1.2.840.10008.5.1.4.1.1.77.1.4": "VL Photographic Image Storage",
    "1.2.840.10008.5.1.4.1.1.77.1.5.1": "Ophthalmic Photography 8 Bit Image Storage",
}
"""SOP classes that are accepted."""
SECONDARY_CAPTURE: Final[dict[str, str]] = {
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture Image Storage",
    "1.2.840.10008.5.1.4.1.1.7.4": "Multi-frame True Color Secondary Capture Image Storage",
}
"""SOP classes that are accepted by option."""

_GREY_RGB: Final = ("MONOCHROME2", "RGB")
_NATIVE: Final = (*_GREY_RGB, "YBR_FULL", "YBR_FULL_422")
_PLANES: Final = (*_GREY_RGB, "YBR_FULL")


class Syntax(NamedTuple):
    """A transfer syntax: its name, how its pixels are compressed, and the photometric interpretations that
    are taken with it."""

    name: str
    coding: str
    photometric: tuple[str, ...]


SYNTAXES: Final[dict[str, Syntax]] = {
    "1.2.840.10008.1.2": Syntax("Implicit VR Little Endian", "native", _NATIVE),
    "1.2.840.10008.1.2.1": Syntax("Explicit VR Little Endian", "native", _NATIVE),
    "1.2.840.10008.1.2.1.99": Syntax("Deflated Explicit VR Little Endian", "native", _NATIVE),
    "1.2.840.10008.1.2.4.50": Syntax("JPEG Baseline", "jpeg", _NATIVE),
    "1.2.840.10008.1.2.4.51": Syntax("JPEG Extended, 8 bits", "jpeg", _NATIVE),
    "1.2.840.10008.1.2.4.80": Syntax("JPEG-LS Lossless", "jpeg-ls", _PLANES),
    "1.2.840.10008.1.2.4.81": Syntax("JPEG-LS Near-lossless", "jpeg-ls", _PLANES),
    "1.2.840.10008.1.2.4.90": Syntax("JPEG 2000 Lossless", "jpeg-2000", (*_PLANES, "YBR_RCT")),
    "1.2.840.10008.1.2.4.91": Syntax("JPEG 2000", "jpeg-2000", (*_PLANES, "YBR_RCT", "YBR_ICT")),
    "1.2.840.10008.1.2.5": Syntax("RLE Lossless", "rle", _PLANES),
}
"""Transfer syntaxes that are accepted."""
LOSSLESS: Final[dict[str, Syntax]] = {
    "1.2.840.10008.1.2.4.57": Syntax("JPEG Lossless", "jpeg-lossless", _GREY_RGB),
    "1.2.840.10008.1.2.4.70": Syntax("JPEG Lossless, First-Order Prediction", "jpeg-lossless", _GREY_RGB),
}
"""Transfer syntaxes that are accepted by option, with 8 bits."""

_IDENTIFIERS: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_REPEATED: Final = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge",
    "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber", "ReferringPhysicianName",
    "TimezoneOffsetFromUTC",
)  # fmt: skip
"""What a structured report repeats of the patient and the study."""
_DESCRIBED: Final = ("Modality", "Rows", "Columns")
"""What it says of the picture."""
_TIMES: Final = ("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime")
"""When the photograph was taken."""
WANTED: Final = (
    "SpecificCharacterSet", *_IDENTIFIERS, *_REPEATED, *_DESCRIBED, *_TIMES,
    "PatientOrientation", "ImageLaterality",
    "PixelAspectRatio", "PixelSpacing", "PixelSpacingCalibrationType",
    "NumberOfFrames", "PhotometricInterpretation", "PlanarConfiguration", "SamplesPerPixel",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
)  # fmt: skip
"""All that is read."""
_MM_PER_PX: Final = (1e-4, 10.0)
_SQUARE_WITHIN: Final = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class DicomPicture:
    """A photograph from DICOM, with the attributes that answers need.

    Attributes:
        decoded: the image; upright and unmirrored where ``oriented``, else as stored.
        oriented: True if Patient Orientation says how the image lies. A caller who calls it mirrored then
            contradicts the file.
        mm_per_px: millimetres per pixel at the face; None if the file does not say.
        laterality: Image Laterality: ``R``, ``L``, ``B`` (both) or None.
        header: identifiers, patient and study as a structured report repeats them. Patient data: in memory
            only, and in no ``repr``.
        invalid: keywords of the identifiers that are missing or no valid UID, and left out of ``header``.
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
        """Time at which the photograph was taken, as its date attributes tell; with the file's offset from
        UTC if that is known, else without a time zone. None without a valid date."""
        return acquisition_time(self.header)


@functools.cache
def quiet_pydicom() -> None:
    """Import pydicom, once, and silence it: its warnings and log lines repeat values of attributes."""
    import pydicom.config

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    for name in ("pydicom", "highdicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", module=rf"{name}\b")


def read(data: bytes, limits: Limits = DEFAULT_LIMITS, *, secondary_capture: bool = False) -> DicomPicture:
    """Read a DICOM file (PS3.10) in memory.

    Args:
        data: the file.
        limits: of its size.
        secondary_capture: accept ``SECONDARY_CAPTURE`` and ``LOSSLESS``.

    Raises:
        DicomKindError: for another SOP class, transfer syntax or kind of pixels.
        DicomSizeError: for a file or an image that is too large.
        DicomDamageError: for anything else that is wrong with it. All three are ``ImageError``.
    """
    if len(data) > limits.bytes:
        raise DicomSizeError(f"the DICOM file has {len(data)} bytes, the limit is {limits.bytes}")
    quiet_pydicom()
    try:
        return _read(data, limits, secondary_capture)
    except ImageError as error:
        # A new one: what led to it may hold values of the file.
        raise type(error)(str(error)) from None
    except Exception:
        # pydicom meets broken files with whatever its innards raise, values of attributes in the message.
        raise DicomDamageError("the DICOM file is damaged or cut short") from None


def _read(data: bytes, limits: Limits, secondary_capture: bool) -> DicomPicture:
    from pydicom.datadict import tag_for_keyword
    from pydicom.filereader import read_dataset

    classes = CLASSES | (SECONDARY_CAPTURE if secondary_capture else {})
    syntaxes = SYNTAXES | (LOSSLESS if secondary_capture else {})
    syntax, at = transfer_syntax(data)
    if syntax not in syntaxes:
        raise DicomKindError(
            f"the transfer syntax{_named(syntax)} is not accepted; accepted are "
            f"{', '.join(known.name for known in syntaxes.values())}{_option(syntax in LOSSLESS)}"
        )
    wanted = frozenset(tag for keyword in WANTED if (tag := tag_for_keyword(keyword)) is not None)
    largest = max(limits.pixels, limits.reduced_pixels)
    file = scan(data, at, syntax, wanted=wanted, max_inflated=4 * limits.pixels)
    dataset = read_dataset(io.BytesIO(file.dataset), syntax == IMPLICIT, True)
    header, invalid = _header(dataset, classes)
    coding = syntaxes[syntax].coding
    pixels = _pixels(dataset, syntaxes[syntax], largest if coding == "jpeg" else limits.pixels)
    mm_per_px = _mm_per_px(dataset)
    if not file.pixels:
        raise DicomDamageError("the DICOM file has no Pixel Data")
    decoded = decode(file.pixels, syntax, coding, pixels, max_pixels=limits.pixels)
    upright = _upright(decoded, _strings(dataset, "PatientOrientation"))
    laterality = _strings(dataset, "ImageLaterality")
    return DicomPicture(
        decoded=decoded if upright is None else upright,
        oriented=upright is not None,
        mm_per_px=mm_per_px,
        laterality=laterality[0] if laterality in (["R"], ["L"], ["B"]) else None,
        header=header,
        invalid=invalid,
    )


def _option(known: bool) -> str:
    """Hint at the option, for a kind that it would accept."""
    return "; start the server with LIDLOOP_SECONDARY_CAPTURE=true to accept this one" if known else ""


def _named(uid: str) -> str:
    """A UID's name in the standard, for messages; nothing for one that it does not have."""
    from pydicom import uid as known

    name = known.UID(uid).name if UID.fullmatch(uid) else uid
    return "" if name == uid else f" {name}"


def _header(dataset: Dataset, classes: dict[str, str]) -> tuple[Dataset, tuple[str, ...]]:
    """Check the SOP class; return what a structured report repeats, and the keywords of invalid UIDs."""
    from pydicom.dataset import Dataset

    kind = str(dataset.get("SOPClassUID", "")).rstrip("\0 ")
    if kind not in classes:
        raise DicomKindError(
            f"the SOP class{_named(kind)} is not accepted; accepted are {' and '.join(classes.values())}"
            f"{_option(kind in SECONDARY_CAPTURE)}"
        )
    header, invalid = Dataset(), []
    for keyword in _IDENTIFIERS:
        value = str(dataset.get(keyword, "")).rstrip("\0 ")
        if UID.fullmatch(value):
            setattr(header, keyword, value)
        else:
            invalid.append(keyword)
    for keyword in (*_REPEATED, *_DESCRIBED, *_TIMES):
        if keyword in dataset:
            header[keyword] = dataset[keyword]
    return header, tuple(invalid)


def _pixels(dataset: Dataset, syntax: Syntax, max_pixels: int) -> Pixels:
    """Check everything that a header says about the pixels, before one of them is touched."""
    rows, columns = _whole(dataset, "Rows"), _whole(dataset, "Columns")
    if rows < 1 or columns < 1:
        raise DicomDamageError("Rows or Columns of the DICOM file is 0")
    if rows * columns > max_pixels:
        raise DicomSizeError(
            f"the picture is too large: {columns} x {rows} pixels, the limit is {max_pixels}"
        )
    if _whole(dataset, "NumberOfFrames", 1) != 1:
        raise DicomKindError("the DICOM file has several frames; send a single one")
    photometric = "".join(_strings(dataset, "PhotometricInterpretation"))
    if photometric not in syntax.photometric:
        raise DicomKindError(
            f"the photometric interpretation is not accepted with {syntax.name}; accepted are "
            f"{', '.join(syntax.photometric)}"
        )
    pixels = Pixels(rows, columns, photometric, _whole(dataset, "PlanarConfiguration", 0))
    expected = {
        "SamplesPerPixel": pixels.samples, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
        "PixelRepresentation": 0,
    }  # fmt: skip
    for keyword, value in expected.items():
        if _whole(dataset, keyword) != value:
            raise DicomKindError(f"{keyword} of the DICOM file must be {value} with {photometric}")
    if pixels.planar not in (0, 1):
        raise DicomKindError("PlanarConfiguration of the DICOM file must be 0 or 1")
    return pixels


def _whole(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    value: Any = dataset.get(keyword)
    if value is None and default is not None:
        return default
    if not isinstance(value, int):
        raise DicomDamageError(f"{keyword} of the DICOM file is missing or not one whole number")
    return int(value)


def _strings(dataset: Dataset, keyword: str) -> list[str]:
    """Values of an attribute as text, without blanks around them; empty where it is missing."""
    value: Any = dataset.get(keyword)
    if value is None or value == "":
        return []
    values = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    return [str(item).strip() for item in values]


def _upright(decoded: Decoded, orientation: list[str]) -> Decoded | None:
    """Turn an image so that its rows run to the patient's left and its columns to the feet.

    Args:
        decoded: as stored.
        orientation: directions of rows and of columns: ``L``, ``R``, ``H`` or ``F`` first, and perhaps a
            lesser one behind (``LA``).

    Returns:
        None if the directions are not those of a face seen from the front.
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


def acquisition_time(header: Dataset) -> datetime | None:
    """When a photograph was taken: Acquisition DateTime, else acquisition, content or study date and time."""
    offset = _offset("".join(_strings(header, "TimezoneOffsetFromUTC")))
    text = "".join(_strings(header, "AcquisitionDateTime"))
    found = re.fullmatch(r"(\d{8})(\d{0,6})(?:\.\d{0,6})?([+-]\d{4})?", text)
    if found and (moment := _moment(found[1], found[2], _offset(found[3] or "") or offset)):
        return moment
    for kind in ("Acquisition", "Content", "Study"):
        date = "".join(_strings(header, f"{kind}Date"))
        time = "".join(_strings(header, f"{kind}Time")).partition(".")[0]
        if moment := _moment(date, time, offset):
            return moment
    return None


def _moment(date: str, time: str, offset: timezone | None) -> datetime | None:
    """A date and a time of day of DICOM; a time that is missing or not valid is midnight."""
    if not (len(date) == 8 and date.isascii() and date.isdigit()):
        return None
    for clock in (time, ""):
        try:
            moment = datetime.strptime(date + clock, "%Y%m%d" + "%H%M%S"[: len(clock) // 2 * 2])
        except ValueError:
            continue
        return moment.replace(tzinfo=offset)
    return None


def _offset(text: str) -> timezone | None:
    """An offset from UTC such as ``+0100``; None for none."""
    found = re.fullmatch(r"([+-])(0\d|1[0-4])([0-5]\d)", text)
    if found is None:
        return None
    minutes = 60 * int(found[2]) + int(found[3])
    return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))


def _mm_per_px(dataset: Dataset) -> float | None:
    """Scale at the face, where the file tells it; refuses pixels that are not square."""
    aspect = _pair(dataset, "PixelAspectRatio")
    spacing = _pair(dataset, "PixelSpacing")
    calibrated = _strings(dataset, "PixelSpacingCalibrationType") == ["FIDUCIAL"]
    for pair in (aspect, spacing if calibrated else None):
        if pair is not None and abs(pair[0] - pair[1]) > _SQUARE_WITHIN * abs(pair[0]):
            raise DicomKindError(
                "the pixels are not square, by PixelAspectRatio or a calibrated PixelSpacing"
            )
    if spacing is None or not calibrated:
        return None
    scale = sum(spacing) / 2
    return scale if _MM_PER_PX[0] <= scale <= _MM_PER_PX[1] else None


def _pair(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """An attribute of two numbers; None where it is anything else."""
    try:
        first, second = (float(text) for text in _strings(dataset, keyword))
    except ValueError:
        return None
    return (first, second) if math.isfinite(first) and math.isfinite(second) else None
