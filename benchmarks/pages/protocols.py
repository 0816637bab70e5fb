"""``docs/PROTOCOLS.md``: code tables and whole examples, made by the code that answers with them."""

from __future__ import annotations

import io
import json
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from lidloop.files import write_atomic
from lidloop.screening.ptosis import measure_face
from lidloop.screening.screen import ModelInfo, Screening
from lidloop.synthetic import Picture, draw_face

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from serving.protocols.codes import Code

MODEL: Final = ModelInfo("lidloop", "7", 3, "5f" * 32)
TEMPLATE: Final = Path(__file__).with_suffix(".md")
WIDTH: Final = 140
"""Of a line of an example."""
REQUEST: Final = "0b7c4a8e-3f6d-4c1b-9a52-6d1f0e7b8c93"
ISSUED: Final = datetime(2026, 1, 5, 10, 15, tzinfo=UTC)


def drawn_screening(**options: Any) -> tuple[Picture, Screening]:
    """A drawn face whose right upper lid hangs, measured at its true landmarks and pupils: what a perfect
    detector would have led to. ``options`` go to ``measure_face``."""
    picture = draw_face(seed=3, size=(640, 560), canthal_px=220.0, ptosis=(0.6, 0.0))
    face = picture.faces[0]
    mirrored = bool(options.get("mirrored"))
    od, os_ = ("right", "left") if mirrored else ("left", "right")  # in the picture
    pupils = {"OD": face.pupils[od], "OS": face.pupils[os_]}
    measured = measure_face(picture.image, face.face(), **({"pupils": pupils} | options))
    height, width = picture.image.shape[:2]
    return picture, Screening(width, height, mirrored, (measured,), MODEL, {})


def dicom_photograph(image: NDArray[np.uint8], *, frame: bytes | None = None, **attributes: Any) -> bytes:
    """A photograph as a DICOM file, VL Photographic Image Storage unless told otherwise.

    Args:
        image: (h, w, 3) uint8 RGB.
        frame: Pixel Data, compressed as ``TransferSyntaxUID`` says; without it the pixels are stored as they
            are.
        attributes: added by keyword, also of the file meta information; None takes one away.
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


def protocols_page(docs: Path) -> Path:
    """Write ``PROTOCOLS.md``, and beside it the local code system as a FHIR resource."""
    from pydicom.datadict import dictionary_description

    from serving.protocols import codes, fhir
    from serving.protocols.dicom import photograph, structured_report

    picture, screening = drawn_screening()
    bundle = fhir.bundle(screening, request_id=REQUEST, issued=ISSUED, subject="Patient/example")
    source = photograph.read(dicom_photograph(picture.image, TimezoneOffsetFromUTC="+0000"))
    report = structured_report.report(screening, source, request_id=REQUEST, issued=ISSUED)
    page = string.Template(TEMPLATE.read_text()).substitute(
        classes="\n".join(f"- {name} (`{uid}`)" for uid, name in photograph.CLASSES.items()),
        syntaxes="\n".join(
            f"| {syntax.name} | `{uid}` | {', '.join(syntax.photometric)} |"
            for uid, syntax in photograph.SYNTAXES.items()
        ),
        read=", ".join(dictionary_description(keyword) for keyword in photograph.WANTED),
        standard="\n".join(
            f"| {what} | {'<br>'.join(map(_named, items))} |" for what, items in _standard().items()
        ),
        system=codes.SYSTEMS[codes.LOCAL],
        designator=codes.LOCAL,
        local="\n".join(
            f"| `{value}` | {codes.local(value).meaning} | {text} |"
            for value, text in codes.DEFINITIONS.items()
        ),
        bundle=_layout(json.loads(bundle.model_dump_json())),
        series=structured_report.SERIES_NUMBER,
        report="\n".join(report_tree(report)),
    )
    system = json.loads(fhir.code_system().model_dump_json())
    write_atomic(docs / "protocols" / "code-system.json", _layout(system) + "\n")
    write_atomic(docs / "PROTOCOLS.md", page)
    return docs / "PROTOCOLS.md"


def _standard() -> dict[str, list[Code]]:
    from serving.protocols import codes

    return {
        "PFH of the right and of the left eye": list(codes.PFH_OF_SIDE.values()),
        "finding of a flagged eye": [codes.PTOSIS],
        "certainty of that, in DICOM": [codes.SUSPECTED],
        "eyes, in FHIR": [*codes.EYES.values(), codes.BOTH_EYES],
        "eyes, in DICOM": [codes.EYE, *codes.LATERALITY.values(), codes.BILATERAL],
        "error band": [codes.UNCERTAINTY],
        "procedure, in DICOM": [codes.PHOTOGRAPHY],
        "units": [codes.MM, codes.PIXELS, codes.RATIO, codes.DEGREES],
        "categories, in FHIR": [codes.DIAGNOSTIC_IMAGING, codes.IMAGING],
        "interpretation of the flag, in FHIR": list(dict.fromkeys(codes.INTERPRETATION.values())),
        "withheld, in FHIR": [codes.UNKNOWN],
    }


def _named(code: Code) -> str:
    return f"{code.scheme} `{code.value}` {code.meaning}"


def _layout(value: Any, indent: int = 0, lead: int = 0) -> str:
    """JSON with one line for whatever fits into one. ``lead`` is what stands before it in its line."""
    flat = json.dumps(value, ensure_ascii=False)
    if indent + lead + len(flat) <= WIDTH or not isinstance(value, (dict, list)):
        return flat
    deeper = indent + 1
    if isinstance(value, dict):
        names = [json.dumps(key) + ": " for key in value]
        parts = [
            name + _layout(item, deeper, len(name)) for name, item in zip(names, value.values(), strict=True)
        ]
    else:
        parts = [_layout(item, deeper) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    inner = ",\n".join(" " * deeper + part for part in parts)
    return f"{opening}\n{inner}\n{' ' * indent}{closing}"


def report_tree(file: bytes) -> Iterator[str]:
    """A structured report as lines of text: what names it, then its content tree."""
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
