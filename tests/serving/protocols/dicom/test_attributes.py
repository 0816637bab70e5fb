"""Attributes of a photograph in its structured report: only valid values are repeated."""

from __future__ import annotations

import functools
import io
import shutil
import subprocess
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from benchmarks.pages.protocols import dicom_photograph, drawn_screening
from serving.protocols.dicom.photograph import read
from serving.protocols.dicom.structured_report import report

REQUEST = "0b1a1d2c-9d5e-4a67-9a8e-1f2d3c4b5a69"
WHEN = datetime(2026, 1, 5, 10, 15, 30, tzinfo=UTC)
PIXELS = np.zeros((4, 6, 3), np.uint8)
_, DRAWN = drawn_screening()

INVALID: list[tuple[str, Any]] = [
    ("PatientName", "Many^Parts^In^One^Name^Here"),
    ("PatientName", "x" * 65),
    ("PatientName", "A=B=C=D"),
    ("PatientName", "Line\nFeed"),
    ("PatientID", "A\nB"),
    ("PatientID", "x" * 65),
    ("PatientID", "tab\there"),
    ("IssuerOfPatientID", "x" * 65),
    ("PatientBirthDate", "1970.01.01"),
    ("PatientBirthDate", "19701341"),
    ("PatientBirthDate", "1970"),
    ("PatientBirthDate", "01/02/1970"),
    ("PatientSex", "U"),
    ("PatientSex", "female"),
    ("PatientAge", "56"),
    ("PatientAge", "56Y"),
    ("PatientAge", "0056Y"),
    ("StudyDate", "2026-01-05"),
    ("StudyTime", "10:15"),
    ("StudyTime", "256060"),
    ("StudyTime", "late"),
    ("StudyID", "x" * 17),
    ("StudyDescription", "x" * 65),
    ("StudyDescription", "two\nlines"),
    ("AccessionNumber", "x" * 17),
    ("ReferringPhysicianName", "x" * 65),
    ("TimezoneOffsetFromUTC", "CET"),
    ("TimezoneOffsetFromUTC", "+9900"),
    ("Modality", "photo"),
]
SEVERAL = [("PatientID", ("A", "B")), ("AccessionNumber", ("1", "2")), ("PatientAge", ("056Y", "057Y"))]
VALID = [
    ("PatientName", "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"), ("PatientID", "A-1 / b"),
    ("PatientBirthDate", "19700228"),
    ("PatientSex", "O"), ("PatientAge", "056Y"), ("StudyTime", "101530.25"), ("StudyTime", "10"),
    ("TimezoneOffsetFromUTC", "-0330"),
]  # fmt: skip


@functools.cache
def report_of(keyword: str, value: Any) -> bytes:
    """Report of a picture with one attribute; tests share it."""
    return reported(**{keyword: list(value) if isinstance(value, tuple) else value})


def reported(**attributes: Any) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = read(dicom_photograph(PIXELS, SpecificCharacterSet="ISO_IR 192", **attributes))
        return report(DRAWN, picture, request_id=REQUEST, issued=WHEN)


@pytest.mark.parametrize(("keyword", "value"), [*INVALID, *SEVERAL], ids=lambda v: str(v)[:24])
def test_invalid_values_are_left_out(keyword: str, value: Any) -> None:
    document = pydicom.dcmread(io.BytesIO(report_of(keyword, value)))
    assert str(document.get(keyword, "") or "") in ("", "SR")  # SR is the Modality of the report


@pytest.mark.parametrize(("keyword", "value"), VALID)
def test_valid_values_are_repeated(keyword: str, value: str) -> None:
    document = pydicom.dcmread(io.BytesIO(report_of(keyword, value)))
    assert str(document[keyword].value) == value


@pytest.mark.parametrize("charset", ["ISO_IR 999", "nonsense", ["", "ISO 2022 IR 87"], ["ISO 2022 IR 6"] * 9])
def test_an_unknown_character_set_does_not_prevent_a_report(charset: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = dicom_photograph(PIXELS)
        at = file.index(b"Drawn^Face")
        file = file[:at] + b"\xe9\xff\x1b$" + file[at + 4 :]
        dataset = pydicom.dcmread(io.BytesIO(file))
        dataset.SpecificCharacterSet = charset
        out = io.BytesIO()
        dataset.save_as(out)
        made = report(DRAWN, read(out.getvalue()), request_id=REQUEST, issued=WHEN)
    assert pydicom.dcmread(io.BytesIO(made)).SpecificCharacterSet == "ISO_IR 192"


def errors(file: bytes, folder: Path) -> list[str]:
    """Errors of ``dciodvfy`` (dicom3tools)."""
    path = folder / "report.dcm"
    path.write_bytes(file)
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, errors="replace", check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="no dciodvfy (Debian: dicom3tools)")
def test_reports_of_invalid_sources_are_valid(tmp_path: Path) -> None:
    """Validate one report per wrong value."""
    assert errors(reported(), tmp_path) == []
    wrong = reported(PatientBirthDate="19700228").replace(b"19700228", b"1970.2.2")
    assert errors(wrong, tmp_path)  # the validator finds errors at all
    for keyword, value in [*INVALID, *SEVERAL, *VALID]:
        assert errors(report_of(keyword, value), tmp_path) == [], (keyword, value)
