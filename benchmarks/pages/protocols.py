"""Write ``docs/PROTOCOLS.md``: tables of codes and two examples, from the code of the service."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.pages.markdown import render
from lidloop.files import write_atomic
from lidloop.screening.ptosis import measure_face
from lidloop.screening.screen import ModelInfo, Screening
from lidloop.synthetic import Picture, draw_face

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from serving.protocols.codes import Code

MODEL: Final = ModelInfo("lidloop", "7", 3, "5f" * 32)
REQUEST: Final = "0b7c4a8e-3f6d-4c1b-9a52-6d1f0e7b8c93"
ISSUED: Final = datetime(2026, 1, 5, 10, 15, tzinfo=UTC)


def drawn_screening(**options: Any) -> tuple[Picture, Screening]:
    """Measure a drawn face with ptosis of the right eye at its true landmarks and pupils.

    Args:
        options: arguments of ``measure_face``.
    """
    picture = draw_face(seed=3, size=(640, 560), canthal_px=220.0, ptosis=(0.6, 0.0))
    face = picture.faces[0]
    mirrored = bool(options.get("mirrored"))
    od, os_ = ("right", "left") if mirrored else ("left", "right")  # in the picture
    pupils = {"OD": face.pupils[od], "OS": face.pupils[os_]}
    measured = measure_face(picture.image, face.face(), **({"pupils": pupils} | options))
    height, width = picture.image.shape[:2]
    return picture, Screening(width, height, mirrored, (measured,), MODEL, {})


def dicom_photograph(image: NDArray[np.uint8], *, frame: bytes | None = None, **attributes: Any) -> bytes:
    """Encode a photograph as a DICOM file, by default VL Photographic Image Storage.

    Args:
        image: (h, w, 3) uint8 RGB.
        frame: Pixel Data, compressed according to ``TransferSyntaxUID``; without it the pixels are stored
            uncompressed.
        attributes: set by keyword, also those of the file meta information; None removes one.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, ExplicitVRLittleEndian

    dataset = Dataset()
    values = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.4",
        "SOPInstanceUID": "2.25.101", "StudyInstanceUID": "2.25.102", "SeriesInstanceUID": "2.25.103",
        "Modality": "XC", "ImageType": ["ORIGINAL", "PRIMARY"],
        "PatientName": "Drawn^Face", "PatientID": "EXAMPLE-1", "PatientBirthDate": "", "PatientSex": "O",
        "StudyDate": "20260105", "StudyTime": "101500", "StudyID": "1", "AccessionNumber": "A-1",
        "ReferringPhysicianName": "", "SeriesNumber": 1, "InstanceNumber": 1,
        "PatientOrientation": ["L", "F"], "ImageLaterality": "B",
        "Rows": image.shape[0], "Columns": image.shape[1], "SamplesPerPixel": 3, "PlanarConfiguration": 0,
        "PhotometricInterpretation": "RGB", "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
        "PixelRepresentation": 0, "BurnedInAnnotation": "NO", "LossyImageCompression": "00",
        "TransferSyntaxUID": ExplicitVRLittleEndian,
        **attributes,
    }  # fmt: skip
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(values.pop("TransferSyntaxUID"))
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.PixelData = image.tobytes() if frame is None else encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = frame is not None
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "2.25.1")
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "2.25.1")
    dataset.file_meta = meta
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def protocols_page(docs: Path) -> list[Path]:
    """Write ``PROTOCOLS.md``, and below ``protocols`` the local code system and an example of each report."""
    from pydicom.datadict import dictionary_description

    from serving.protocols import codes, fhir
    from serving.protocols.dicom import header, photograph, structured_report

    picture, screening = drawn_screening()
    bundle = fhir.bundle(screening, request_id=REQUEST, issued=ISSUED, subject="Patient/example")
    source = photograph.read(dicom_photograph(picture.image, TimezoneOffsetFromUTC="+0000"))
    report = structured_report.report(screening, source, request_id=REQUEST, issued=ISSUED)
    page = render(
        "pages/protocols.md.j2",
        header=header,
        codes=codes,
        standard=_standard(),
        read=", ".join(dictionary_description(keyword) for keyword in header.WANTED),
        series=structured_report.SERIES_NUMBER,
    )
    texts = {
        "PROTOCOLS.md": page,
        "protocols/code-system.json": _json(fhir.code_system()),
        "protocols/bundle.json": _json(bundle),
        "protocols/report.txt": "\n".join(report_tree(report)) + "\n",
    }
    for name, text in texts.items():
        write_atomic(docs / name, text)
    return [docs / name for name in texts]


def _standard() -> dict[str, list[Code]]:
    """Codes of standard code systems, by their use."""
    from serving.protocols import codes

    return {
        "PFH of the right and of the left eye": list(codes.PFH_OF_SIDE.values()),
        "finding of a flagged eye": [codes.PTOSIS],
        "its certainty, in DICOM": [codes.SUSPECTED],
        "eyes, in FHIR": [*codes.EYES.values(), codes.BOTH_EYES],
        "eyes, in DICOM": [codes.EYE, *codes.LATERALITY.values(), codes.BILATERAL],
        "error band": [codes.UNCERTAINTY],
        "procedure, in DICOM": [codes.PHOTOGRAPHY],
        "units": [codes.MM, codes.PIXELS, codes.RATIO, codes.DEGREES],
        "categories, in FHIR": [codes.DIAGNOSTIC_IMAGING, codes.IMAGING],
        "interpretation of the flag, in FHIR": list(dict.fromkeys(codes.INTERPRETATION.values())),
        "withheld, in FHIR": [codes.UNKNOWN],
    }


def _json(resource: Any) -> str:
    return json.dumps(json.loads(resource.model_dump_json()), indent=1, ensure_ascii=False) + "\n"


def report_tree(file: bytes) -> Iterator[str]:
    """List a structured report as lines of text: its top-level attributes, then its content tree."""
    import pydicom

    document = pydicom.dcmread(io.BytesIO(file))
    for element in document:
        if element.VR != "SQ" and element.tag.group < 0x0040:
            yield f"{element.name}: {element.value}"
    yield ""
    yield from _tree(document, 0)


def _tree(item: Dataset, depth: int) -> Iterator[str]:
    name = item.ConceptNameCodeSequence[0].CodeMeaning
    yield f"{'  ' * depth}{item.ValueType} {name}{_value_of(item)}"
    for child in item.get("ContentSequence", []):
        yield from _tree(child, depth + 1)


def _value_of(item: Dataset) -> str:
    if item.ValueType == "NUM":
        measured = item.MeasuredValueSequence[0]
        return f" = {measured.NumericValue} {measured.MeasurementUnitsCodeSequence[0].CodeValue}"
    if item.ValueType == "CODE":
        code = item.ConceptCodeSequence[0]
        return f" = {code.CodeMeaning} ({code.CodeValue}, {code.CodingSchemeDesignator})"
    if item.ValueType == "IMAGE":
        return f" = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID}"
    return {"TEXT": f" = {item.get('TextValue')}", "UIDREF": f" = {item.get('UID')}"}.get(item.ValueType, "")
