"""Validate attributes of a DICOM photograph before a structured report repeats them.

Files of hospitals contain dates such as ``1970.01.01``, ages such as ``56`` and identifiers with line feeds.
Archives reject a report with such values, so invalid ones are left out (PS3.5, 6.2, value representations).
All of these attributes have one value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SEXES: Final = ("M", "F", "O")
_TIME: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_AGE: Final = re.compile(r"\d{3}[DWMY]")
_CODE: Final = re.compile(r"[A-Z0-9_ ]{1,16}")
_OFFSET: Final = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")
_MAX_COMPONENTS: Final = 5
_MAX_GROUPS: Final = 3
_LONGEST_PART: Final = 64


def _is_text(longest: int) -> Callable[[str], bool]:
    return lambda text: len(text) <= longest and _is_printable(text)


def _is_printable(text: str) -> bool:
    """True for text without backslashes, control characters, and characters that could not be decoded."""
    return text.isprintable() and "\\" not in text and "\ufffd" not in text


def _is_date(text: str) -> bool:
    if not (len(text) == 8 and text.isascii() and text.isdigit()):
        return False
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return True


def _is_name(text: str) -> bool:
    """Person name: up to three groups (alphabetic, ideographic, phonetic) of up to five components."""
    groups = text.split("=")
    return (
        _is_printable(text)
        and len(groups) <= _MAX_GROUPS
        and all(len(group) <= _LONGEST_PART and group.count("^") < _MAX_COMPONENTS for group in groups)
    )


_CHECKS: Final[dict[str, Callable[[str], bool]]] = {
    "PatientName": _is_name,
    "PatientID": _is_text(64),
    "IssuerOfPatientID": _is_text(64),
    "PatientBirthDate": _is_date,
    "PatientSex": lambda text: text in _SEXES,
    "PatientAge": lambda text: _AGE.fullmatch(text) is not None,
    "StudyDate": _is_date,
    "StudyTime": lambda text: _TIME.fullmatch(text) is not None,
    "StudyID": _is_text(16),
    "StudyDescription": _is_text(64),
    "AccessionNumber": _is_text(16),
    "ReferringPhysicianName": _is_name,
    "TimezoneOffsetFromUTC": lambda text: _OFFSET.fullmatch(text) is not None,
    "Modality": lambda text: _CODE.fullmatch(text) is not None,
}
"""Check of the value, by keyword of the attribute."""
_AS_IS: Final = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns",
)  # fmt: skip
"""Keywords of attributes that are checked when the file is read."""


def valid_attributes(header: Dataset) -> Dataset:
    """Copy the valid attributes of a photograph's header.

    Args:
        header: ``serving.protocols.dicom.photograph.DicomPicture.header``.

    Returns:
        A new data set without attributes that are empty or not valid.
    """
    from pydicom.dataset import Dataset

    valid = Dataset()
    for keyword in _AS_IS:
        if keyword in header:
            setattr(valid, keyword, header[keyword].value)
    for keyword, check in _CHECKS.items():
        text = _text(header, keyword)
        if text and check(text):
            setattr(valid, keyword, text)
    if "PatientID" not in valid and "IssuerOfPatientID" in valid:
        del valid.IssuerOfPatientID
    return valid


def _text(header: Dataset, keyword: str) -> str:
    """Value of an attribute without padding; empty if it is missing, multi-valued or cannot be decoded."""
    if keyword not in header:
        return ""
    try:
        value: Any = header[keyword].value
        if isinstance(value, (list, tuple)) or hasattr(value, "append"):
            return ""
        return "" if value is None else str(value).rstrip("\0").strip(" ").rstrip("\0")
    except Exception:
        # pydicom raises exceptions of any type for values or character sets that it cannot decode.
        return ""
