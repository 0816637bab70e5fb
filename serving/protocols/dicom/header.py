"""Header of a DICOM photograph: accepted kinds, and checks of every attribute before a pixel is decoded.

Accepted are the SOP classes ``CLASSES`` and the transfer syntaxes ``SYNTAXES``; by option also
``SECONDARY_CAPTURE`` and ``LOSSLESS``. Of the other attributes only ``WANTED`` are read.

Scale: Pixel Spacing is used only if Pixel Spacing Calibration Type is ``FIDUCIAL``, calibrated with an object
of known size. Other values do not describe the face: in Ophthalmic Photography they are millimetres on the
retina, and exports of photographs write those of the screen or the sensor (PS3.3, C.8.17.2 and 10.7).

Error messages name attributes, never their values.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from serving.protocols.dicom.pixels import Pixels
from serving.protocols.dicom.scan import UID, DicomDamageError, DicomKindError, DicomSizeError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

CLASSES: Final[dict[str, str]] = {
    "1.2.840.10008.5.1.4.1.1.77.1.4": "VL Photographic Image Storage",
    "1.2.840.10008.5.1.4.1.1.77.1.5.1": "Ophthalmic Photography 8 Bit Image Storage",
}
"""Accepted SOP classes: UID to name."""
SECONDARY_CAPTURE: Final[dict[str, str]] = {
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture Image Storage",
    "1.2.840.10008.5.1.4.1.1.7.4": "Multi-frame True Color Secondary Capture Image Storage",
}
"""SOP classes that the option ``secondary_capture`` accepts as well."""

_GREY_RGB: Final = ("MONOCHROME2", "RGB")
_NATIVE: Final = (*_GREY_RGB, "YBR_FULL", "YBR_FULL_422")
_PLANES: Final = (*_GREY_RGB, "YBR_FULL")


class Syntax(NamedTuple):
    """A transfer syntax.

    Attributes:
        name: as in the standard.
        coding: compression of the pixels; selects the decoder in ``serving.protocols.dicom.pixels``.
        photometric: photometric interpretations that are accepted with it.
    """

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
"""Accepted transfer syntaxes by UID."""
LOSSLESS: Final[dict[str, Syntax]] = {
    "1.2.840.10008.1.2.4.57": Syntax("JPEG Lossless", "jpeg-lossless", _GREY_RGB),
    "1.2.840.10008.1.2.4.70": Syntax("JPEG Lossless, First-Order Prediction", "jpeg-lossless", _GREY_RGB),
}
"""Transfer syntaxes that the option ``secondary_capture`` accepts as well, with 8 bits."""

_IDENTIFIERS: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_REPEATED: Final = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge",
    "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber", "ReferringPhysicianName",
    "TimezoneOffsetFromUTC",
)  # fmt: skip
"""Attributes of patient and study that a structured report repeats."""
_DESCRIBED: Final = ("Modality", "Rows", "Columns")
"""Attributes of the image that a structured report repeats."""
_TIMES: Final = ("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime")
"""Date and time attributes from which the acquisition time is read."""
WANTED: Final = (
    "SpecificCharacterSet", *_IDENTIFIERS, *_REPEATED, *_DESCRIBED, *_TIMES,
    "PatientOrientation", "ImageLaterality",
    "PixelAspectRatio", "PixelSpacing", "PixelSpacingCalibrationType",
    "NumberOfFrames", "PhotometricInterpretation", "PlanarConfiguration", "SamplesPerPixel",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
)  # fmt: skip
"""Keywords of all attributes that are read."""
_MM_PER_PX: Final = (1e-4, 10.0)
"""Smallest and largest accepted scale, in millimetres per pixel."""
_SQUARE_WITHIN: Final = 0.01
"""Largest relative difference between the sides of a pixel that counts as square."""


def option_hint(known: bool) -> str:
    """End of an error message that names the option, where the option would accept the file; else empty."""
    return "; start the server with LIDLOOP_SECONDARY_CAPTURE=true to accept this one" if known else ""


def uid_name(uid: str) -> str:
    """Name of a UID in the standard after a space, for error messages; empty for an unknown UID."""
    from pydicom import uid as known

    name = known.UID(uid).name if UID.fullmatch(uid) else uid
    return "" if name == uid else f" {name}"


def read_header(dataset: Dataset, classes: dict[str, str]) -> tuple[Dataset, tuple[str, ...]]:
    """Check the SOP class and collect the attributes that a structured report repeats.

    Args:
        dataset: parsed attributes of the file.
        classes: accepted SOP classes: UID to name.

    Returns:
        The attributes, and the keywords of identifiers that are missing or not valid UIDs.

    Raises:
        DicomKindError: the SOP class is not accepted.
    """
    from pydicom.dataset import Dataset

    kind = str(dataset.get("SOPClassUID", "")).rstrip("\0 ")
    if kind not in classes:
        raise DicomKindError(
            f"the SOP class{uid_name(kind)} is not accepted; accepted are {' and '.join(classes.values())}"
            f"{option_hint(kind in SECONDARY_CAPTURE)}"
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


def read_pixels(dataset: Dataset, syntax: Syntax, max_pixels: int) -> Pixels:
    """Check all attributes that describe the pixels, before any pixel is decoded.

    Raises:
        DicomKindError: the pixel format or the number of frames is not accepted.
        DicomSizeError: the image has more than ``max_pixels`` pixels.
        DicomDamageError: an attribute is missing or not an integer.
    """
    rows, columns = _integer(dataset, "Rows"), _integer(dataset, "Columns")
    if rows < 1 or columns < 1:
        raise DicomDamageError("Rows or Columns of the DICOM file is 0")
    if rows * columns > max_pixels:
        raise DicomSizeError(
            f"the picture is too large: {columns} x {rows} pixels, the limit is {max_pixels}"
        )
    if _integer(dataset, "NumberOfFrames", 1) != 1:
        raise DicomKindError("the DICOM file has several frames; send a single one")
    photometric = "".join(strings(dataset, "PhotometricInterpretation"))
    if photometric not in syntax.photometric:
        raise DicomKindError(
            f"the photometric interpretation is not accepted with {syntax.name}; accepted are "
            f"{', '.join(syntax.photometric)}"
        )
    pixels = Pixels(rows, columns, photometric, _integer(dataset, "PlanarConfiguration", 0))
    expected = {
        "SamplesPerPixel": pixels.samples, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
        "PixelRepresentation": 0,
    }  # fmt: skip
    for keyword, value in expected.items():
        if _integer(dataset, keyword) != value:
            raise DicomKindError(f"{keyword} of the DICOM file must be {value} with {photometric}")
    if pixels.planar not in (0, 1):
        raise DicomKindError("PlanarConfiguration of the DICOM file must be 0 or 1")
    return pixels


def _integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    value: Any = dataset.get(keyword)
    if value is None and default is not None:
        return default
    if not isinstance(value, int):
        raise DicomDamageError(f"{keyword} of the DICOM file is missing or not a single integer")
    return int(value)


def strings(dataset: Dataset, keyword: str) -> list[str]:
    """Values of an attribute as stripped strings; an empty list if it is missing."""
    value: Any = dataset.get(keyword)
    if value is None or value == "":
        return []
    values = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    return [str(item).strip() for item in values]


def acquisition_time(header: Dataset) -> datetime | None:
    """Time at which a photograph was taken; None without a valid date.

    The first valid one of Acquisition DateTime, and date and time of acquisition, content and study.
    """
    offset = _offset("".join(strings(header, "TimezoneOffsetFromUTC")))
    text = "".join(strings(header, "AcquisitionDateTime"))
    found = re.fullmatch(r"(\d{8})(\d{0,6})(?:\.\d{0,6})?([+-]\d{4})?", text)
    if found and (moment := _moment(found[1], found[2], _offset(found[3] or "") or offset)):
        return moment
    for kind in ("Acquisition", "Content", "Study"):
        date = "".join(strings(header, f"{kind}Date"))
        time = "".join(strings(header, f"{kind}Time")).partition(".")[0]
        if moment := _moment(date, time, offset):
            return moment
    return None


def _moment(date: str, time: str, offset: timezone | None) -> datetime | None:
    """Parse a DICOM date and time; a missing or invalid time becomes midnight."""
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
    """Parse an offset from UTC such as ``+0100``; None if it is not valid."""
    found = re.fullmatch(r"([+-])(0\d|1[0-4])([0-5]\d)", text)
    if found is None:
        return None
    minutes = 60 * int(found[2]) + int(found[3])
    return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))


def mm_per_px(dataset: Dataset) -> float | None:
    """Scale at the face in millimetres per pixel; None without a calibrated value.

    Raises:
        DicomKindError: the pixels are not square.
    """
    aspect = _pair(dataset, "PixelAspectRatio")
    spacing = _pair(dataset, "PixelSpacing")
    calibrated = strings(dataset, "PixelSpacingCalibrationType") == ["FIDUCIAL"]
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
    """Values of an attribute of two numbers; None if it is anything else."""
    try:
        first, second = (float(text) for text in strings(dataset, keyword))
    except ValueError:
        return None
    return (first, second) if math.isfinite(first) and math.isfinite(second) else None
