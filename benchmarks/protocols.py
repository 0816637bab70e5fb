"""``docs/PROTOCOLS.md``: code tables and whole examples, made by the code that answers with them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidloop.ptosis import measure_face
from lidloop.screening import ModelInfo, Screening
from lidloop.synthetic import Picture, draw_face

MODEL = ModelInfo("lidloop", "7", 3, "5f" * 32)


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
