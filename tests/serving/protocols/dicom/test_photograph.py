"""Reading DICOM photographs: accepted kinds, orientation, scale, limits, and errors for damaged files."""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from benchmarks.pages.protocols import dicom_photograph
from lidloop.errors import ImageError
from lidloop.images import decode_rgb
from serving.protocols.dicom.header import SECONDARY_CAPTURE, SYNTAXES
from serving.protocols.dicom.photograph import MEDIA_TYPE, Limits, disable_pydicom_logging, read
from serving.protocols.dicom.scan import DicomDamageError, DicomKindError, DicomSizeError
from tests.properties import examples

if TYPE_CHECKING:
    from starlette.testclient import TestClient

JPEG, JPEG_LS, JPEG_2000, RLE = (f"1.2.840.10008.1.2.{tail}" for tail in ("4.50", "4.80", "4.90", "5"))
JPEG_2000_LOSSY = "1.2.840.10008.1.2.4.91"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
DEFLATED = "1.2.840.10008.1.2.1.99"
OPHTHALMIC = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
SECRET = "Secretname"


def picture(width: int = 34, height: int = 26) -> NDArray[np.uint8]:
    """Smooth image that differs in every corner and channel: (h, w, 3)."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.dstack([200 * x + 20, 180 * y + 30, 90 + 60 * x - 50 * y]).astype(np.uint8)


def pillow(image: NDArray[np.uint8], kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind, **options)
    return out.getvalue()


def compressed(image: NDArray[np.uint8], syntax: str) -> bytes:
    """A DICOM photograph compressed by the encoders of pydicom."""
    dataset = dcmread(io.BytesIO(dicom_photograph(image)))
    dataset.compress(syntax, generate_instance_uid=False)
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def ybr_full_422(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels as Y Y Cb Cr, in the order in which DICOM stores YBR_FULL_422."""
    y, cr, cb = np.moveaxis(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb), 2, 0)
    return np.dstack([y[:, ::2], y[:, 1::2], cb[:, ::2], cr[:, ::2]])


SMALL = picture()
GREY = SMALL[..., :1]
CHROMA = cv2.cvtColor(SMALL, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]


@pytest.mark.parametrize(
    ("file", "expected", "tolerance"),
    [
        pytest.param(dicom_photograph(SMALL), SMALL, 0, id="explicit, as stored"),
        pytest.param(
            dicom_photograph(SMALL, TransferSyntaxUID="1.2.840.10008.1.2"), SMALL, 0, id="implicit"
        ),
        pytest.param(dicom_photograph(SMALL, TransferSyntaxUID=DEFLATED), SMALL, 0, id="deflated"),
        pytest.param(dicom_photograph(SMALL, SOPClassUID=OPHTHALMIC), SMALL, 0, id="ophthalmic photography"),
        pytest.param(
            dicom_photograph(np.moveaxis(SMALL, 2, 0), Rows=26, Columns=34, PlanarConfiguration=1),
            SMALL, 0, id="colour by plane",
        ),
        pytest.param(
            dicom_photograph(GREY, PhotometricInterpretation="MONOCHROME2", SamplesPerPixel=1),
            np.repeat(GREY, 3, axis=2), 0, id="grey becomes RGB",
        ),
        pytest.param(
            dicom_photograph(CHROMA, PhotometricInterpretation="YBR_FULL"), SMALL, 2, id="YBR_FULL"
        ),
        pytest.param(
            dicom_photograph(ybr_full_422(SMALL), PhotometricInterpretation="YBR_FULL_422", Columns=34),
            SMALL, 6, id="YBR_FULL_422, chroma of pairs of pixels",
        ),
        pytest.param(compressed(SMALL, RLE), SMALL, 0, id="RLE"),
        pytest.param(compressed(SMALL, JPEG_LS), SMALL, 0, id="JPEG-LS lossless"),
        pytest.param(
            dicom_photograph(
                SMALL, TransferSyntaxUID=JPEG_2000, PhotometricInterpretation="YBR_RCT",
                frame=pillow(SMALL, "JPEG2000", irreversible=False, no_jp2=True),
            ),
            SMALL, 0, id="JPEG 2000 lossless",
        ),
        pytest.param(
            dicom_photograph(
                SMALL, TransferSyntaxUID=JPEG_2000_LOSSY, PhotometricInterpretation="YBR_ICT",
                frame=pillow(SMALL, "JPEG2000", irreversible=True, no_jp2=True),
            ),
            SMALL, 4, id="JPEG 2000 lossy",
        ),
    ],
)  # fmt: skip
def test_pixels_of_every_transfer_syntax(file: bytes, expected: NDArray[np.uint8], tolerance: int) -> None:
    image = read(file).image
    assert image.shape == expected.shape
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_FULL", "RGB"])
def test_an_encapsulated_jpeg_decodes_like_the_jpeg_file(photometric: str) -> None:
    """Also if the header calls a JFIF RGB, a frequent mistake: JFIF is never RGB."""
    jpeg = pillow(SMALL, "JPEG", quality=90)
    file = dicom_photograph(SMALL, TransferSyntaxUID=JPEG, PhotometricInterpretation=photometric, frame=jpeg)
    assert np.array_equal(read(file).image, decode_rgb(jpeg, where="it"))


def test_a_jpeg_without_a_colour_marker_has_the_colours_of_the_header() -> None:
    """RGB samples without Adobe's marker: libjpeg would take them for YCbCr."""
    bare = pillow(SMALL, "JPEG", quality=95, keep_rgb=True)
    start = bare.index(b"\xff\xee")
    bare = bare[:start] + bare[start + 16 :]
    file = dicom_photograph(SMALL, TransferSyntaxUID=JPEG, frame=renumbered(bare))
    assert np.abs(read(file).image.astype(int) - SMALL).max() < 12


def renumbered(jpeg: bytes) -> bytes:
    """JPEG whose components R, G, B are renumbered 1, 2, 3, as in YCbCr."""
    out = bytearray(jpeg)
    at = jpeg.index(b"\xff\xc0")
    for k in range(3):
        out[at + 10 + 3 * k] = k + 1
    scan = jpeg.index(b"\xff\xda")
    for k in range(3):
        out[scan + 5 + 2 * k] = k + 1
    return bytes(out)


def test_exif_orientation_is_ignored() -> None:
    """DICOM viewers show the stored matrix, and the measured image must be the same."""
    exif = Image.Exif()
    exif[0x0112] = 6
    jpeg = pillow(SMALL, "JPEG", quality=90, exif=exif)
    file = dicom_photograph(
        SMALL, TransferSyntaxUID=JPEG, PhotometricInterpretation="YBR_FULL_422", frame=jpeg
    )
    assert read(file).image.shape == SMALL.shape


def test_fragments_of_a_jpeg_are_joined() -> None:
    from pydicom.encaps import encapsulate

    jpeg = pillow(SMALL, "JPEG", quality=90)
    whole = dicom_photograph(SMALL, TransferSyntaxUID=JPEG, PhotometricInterpretation="YBR_FULL", frame=jpeg)
    dataset = dcmread(io.BytesIO(whole))
    dataset.PixelData = encapsulate([jpeg], fragments_per_frame=3)
    out = io.BytesIO()
    dataset.save_as(out)
    assert np.array_equal(read(out.getvalue()).image, read(whole).image)


STORED = {
    ("L", "F"): lambda upright: upright,
    ("R", "F"): lambda upright: upright[:, ::-1],
    ("L", "H"): lambda upright: upright[::-1],
    ("R", "H"): lambda upright: upright[::-1, ::-1],
    ("F", "L"): lambda upright: upright.swapaxes(0, 1),
    ("H", "L"): lambda upright: upright[::-1].swapaxes(0, 1),
    ("F", "R"): lambda upright: upright[:, ::-1].swapaxes(0, 1),
    ("H", "R"): lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_patient_orientation_turns_and_unmirrors(orientation: tuple[str, str]) -> None:
    stored = np.ascontiguousarray(STORED[orientation](SMALL))
    found = read(dicom_photograph(stored, PatientOrientation=list(orientation)))
    assert np.array_equal(found.image, SMALL)
    assert found.oriented


@pytest.mark.parametrize(
    ("orientation", "reason"),
    [
        (None, "missing"),
        ("", "empty, as type 2C allows"),
        (["A", "F"], "a profile has no left or right side in the picture"),
        (["F", "A"], "a profile that lies"),
        (["L"], "one direction only"),
        (["L", "R"], "both along one axis"),
        (["L", "F", "A"], "three directions"),
        (["X", "F"], "no direction"),
    ],
)
def test_other_orientations_leave_the_picture_as_stored(orientation: Any, reason: str) -> None:
    found = read(dicom_photograph(SMALL, PatientOrientation=orientation))
    assert np.array_equal(found.image, SMALL), reason
    assert not found.oriented, reason


def test_a_slight_turn_of_the_head_keeps_the_sides() -> None:
    assert read(dicom_photograph(SMALL, PatientOrientation=["LP", "FA"])).oriented


@pytest.mark.parametrize(
    ("attributes", "expected", "reason"),
    [
        ({}, None, "nothing is said"),
        ({"PixelSpacing": [0.25, 0.25]}, None, "may be the screen's, the sensor's or the retina's"),
        ({"ImagerPixelSpacing": [0.005, 0.005]}, None, "is at the sensor"),
        ({"PixelSpacing": [0.25, 0.25], "PixelSpacingCalibrationType": "GEOMETRY"}, None, "assumed"),
        ({"PixelSpacing": [0.25, 0.25], "PixelSpacingCalibrationType": "FIDUCIAL"}, 0.25, "measured"),
        ({"PixelSpacing": [0.25, 0.3]}, None, "means nothing, so it is no reason to refuse the file"),
        ({"PixelAspectRatio": [1, 1]}, None, "square, of no size"),
        ({"PixelSpacing": [0, 0], "PixelSpacingCalibrationType": "FIDUCIAL"}, None, "zero"),
        ({"PixelSpacing": [-0.2, -0.2], "PixelSpacingCalibrationType": "FIDUCIAL"}, None, "negative"),
        ({"PixelSpacing": [400, 400], "PixelSpacingCalibrationType": "FIDUCIAL"}, None, "no photograph"),
        ({"PixelSpacing": 0.25, "PixelSpacingCalibrationType": "FIDUCIAL"}, None, "one value"),
        ({"PixelSpacingCalibrationType": "FIDUCIAL"}, None, "calibrated, but not what"),
    ],
)
def test_only_a_fiducial_calibration_gives_a_scale(
    attributes: dict[str, Any], expected: float | None, reason: str
) -> None:
    assert read(dicom_photograph(SMALL, **attributes)).mm_per_px == expected, reason


@pytest.mark.parametrize(
    ("laterality", "expected"), [("R", "R"), ("L", "L"), ("B", "B"), (None, None), ("", None), ("X", None)]
)
def test_laterality(laterality: str | None, expected: str | None) -> None:
    assert read(dicom_photograph(SMALL, ImageLaterality=laterality)).laterality == expected


def test_the_header_has_attributes_of_patient_and_study_only() -> None:
    file = dicom_photograph(
        SMALL, PatientName="Müller^Ærøskøbing", SpecificCharacterSet="ISO_IR 100",
        PatientComments="a comment", OtherPatientNames="Other^Name",
    )  # fmt: skip
    found = read(file)
    assert found.study_uid == "2.25.102"
    assert str(found.header.PatientName) == "Müller^Ærøskøbing"
    assert found.header.PatientID == "EXAMPLE-1"
    assert "PatientComments" not in found.header
    assert "OtherPatientNames" not in found.header
    assert "Müller" not in repr(found)
    assert "EXAMPLE" not in str(found)


@pytest.mark.parametrize(
    ("attributes", "error", "says"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, DicomKindError, "Secondary Capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.5.2"}, DicomKindError, "16 Bit"),
        ({"SOPClassUID": SECRET}, DicomKindError, "SOP class is not accepted"),
        ({"SOPClassUID": None}, DicomKindError, "SOP class is not accepted"),
        ({"NumberOfFrames": 2}, DicomKindError, "several frames"),
        ({"BitsAllocated": 16}, DicomKindError, "BitsAllocated"),
        ({"BitsStored": 7}, DicomKindError, "BitsStored"),
        ({"HighBit": 6}, DicomKindError, "HighBit"),
        ({"PixelRepresentation": 1}, DicomKindError, "PixelRepresentation"),
        ({"SamplesPerPixel": 1}, DicomKindError, "SamplesPerPixel"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, DicomKindError, "accepted are MONOCHROME2"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, DicomKindError, "photometric"),
        ({"PhotometricInterpretation": "YBR_ICT"}, DicomKindError, "with Explicit VR"),
        ({"PhotometricInterpretation": None}, DicomKindError, "photometric"),
        ({"PlanarConfiguration": 2}, DicomKindError, "PlanarConfiguration"),
        ({"PixelAspectRatio": [1, 2]}, DicomKindError, "not square"),
        (
            {"PixelSpacing": [0.25, 0.3], "PixelSpacingCalibrationType": "FIDUCIAL"},
            DicomKindError, "not square",
        ),
        ({"Rows": None}, DicomDamageError, "Rows"),
        ({"Rows": 0}, DicomDamageError, "0"),
        ({"Columns": [34, 34]}, DicomDamageError, "Columns"),
        ({"Rows": 27}, DicomDamageError, "damaged"),
        ({"Rows": 65535, "Columns": 65535}, DicomSizeError, "65535 x 65535"),
        ({"TransferSyntaxUID": "1.2.840.10008.1.2.2"}, DicomKindError, "Explicit VR Big Endian"),
    ],
)  # fmt: skip
def test_errors_name_the_attribute_and_not_its_value(
    attributes: dict[str, Any], error: type[ImageError], says: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = dicom_photograph(SMALL, **attributes)
    with pytest.raises(error, match=says) as caught:
        read(file)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        ("1.2.840.10008.1.2.4.70", "JPEG Lossless"),
        ("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000"),
        ("1.2.840.10008.1.2.4.102", "MPEG-4"),
    ],
)
def test_errors_name_a_compression_without_a_decoder(syntax: str, name: str) -> None:
    file = dicom_photograph(SMALL, TransferSyntaxUID=syntax, frame=b"\0" * 8)
    with pytest.raises(DicomKindError, match=name):
        read(file)


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", [None, SECRET, "1.2.03.4", "1." * 40 + "1"])
def test_a_file_with_an_invalid_identifier_is_read(keyword: str, value: str | None) -> None:
    found = read(dicom_photograph(SMALL, **{keyword: value}))
    assert np.array_equal(found.image, SMALL)
    assert found.invalid == (keyword,)
    assert keyword not in found.header
    assert found.study_uid == (None if keyword == "StudyInstanceUID" else "2.25.102")


@pytest.mark.parametrize("kind", SECONDARY_CAPTURE)
def test_secondary_capture_is_accepted_by_option_only(kind: str) -> None:
    file = dicom_photograph(SMALL, SOPClassUID=kind)
    assert np.array_equal(read(file, secondary_capture=True).image, SMALL)
    with pytest.raises(DicomKindError, match="LIDLOOP_SECONDARY_CAPTURE"):
        read(file)


@pytest.mark.parametrize("predictor", [1, 4, 7])
def test_jpeg_lossless_is_accepted_by_option_only(predictor: int) -> None:
    frame = lossless_jpeg(SMALL, predictor)
    file = dicom_photograph(SMALL, TransferSyntaxUID=JPEG_LOSSLESS, frame=frame)
    assert np.array_equal(read(file, secondary_capture=True).image, SMALL)
    with pytest.raises(DicomKindError, match="LIDLOOP_SECONDARY_CAPTURE"):
        read(file)


def lossless_jpeg(image: NDArray[np.uint8], predictor: int) -> bytes:
    """Encode RGB as a lossless JPEG (ITU-T T.81, annex H) with a code of one length for every category."""
    height, width = image.shape[:2]
    values = image.astype(int)
    left, above = np.roll(values, 1, axis=1), np.roll(values, 1, axis=0)
    corner = np.roll(above, 1, axis=1)
    guess = {1: left, 4: left + above - corner, 7: (left + above) >> 1}[predictor]
    guess[0], guess[:, 0] = left[0], above[:, 0]
    guess[0, 0] = 128
    bits = []
    for difference in (values - guess).reshape(-1).tolist():
        category = abs(difference).bit_length()
        bits.append(f"{category:05b}")
        if category:
            code = difference if difference > 0 else difference + (1 << category) - 1
            bits.append(f"{code:0{category}b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    data = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")
    frame = struct.pack(">BHHB", 8, height, width, 3) + b"".join(bytes([k, 0x11, 0]) for k in (1, 2, 3))
    table = b"\x00" + bytes([0, 0, 0, 0, 17, *[0] * 11]) + bytes(range(17))
    scan = b"\x03" + b"".join(bytes([k, 0]) for k in (1, 2, 3)) + bytes([predictor, 0, 0])
    segments = [(0xC3, frame), (0xC4, table), (0xDA, scan)]
    head = b"".join(b"\xff" + bytes([m]) + struct.pack(">H", len(s) + 2) + s for m, s in segments)
    return b"\xff\xd8" + head + data + b"\xff\xd9"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"AcquisitionDateTime": "20260105101530.25+0100"}, "2026-01-05T10:15:30+01:00"),
        (
            {"AcquisitionDateTime": "20260105101530", "TimezoneOffsetFromUTC": "-0330"},
            "2026-01-05T10:15:30-03:30",
        ),
        ({"AcquisitionDate": "20260104", "AcquisitionTime": "0915"}, "2026-01-04T09:15:00"),
        ({"ContentDate": "20260103", "ContentTime": "late"}, "2026-01-03T00:00:00"),
        ({"AcquisitionDateTime": "20261399", "StudyDate": "20260102"}, "2026-01-02T00:00:00"),
        ({"StudyDate": "around 1960"}, None),
        ({"StudyDate": None}, None),
    ],
)  # fmt: skip
def test_acquisition_time(attributes: dict[str, Any], expected: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = dicom_photograph(SMALL, **({"StudyTime": None} | attributes))
    taken = read(file).taken
    assert (None if taken is None else taken.isoformat()) == expected


def test_files_and_images_above_the_limits_are_rejected() -> None:
    file = dicom_photograph(SMALL)
    with pytest.raises(DicomSizeError, match="bytes"):
        read(file, Limits(bytes=len(file) - 1))
    with pytest.raises(DicomSizeError, match="34 x 26"):
        read(file, Limits(pixels=34 * 26 - 1))
    assert read(file, Limits(len(file), 34 * 26)).image.shape == SMALL.shape


BIG = picture(68, 52)


@pytest.mark.parametrize(
    ("syntax", "frame"),
    [
        pytest.param(JPEG, pillow(BIG, "JPEG"), id="JPEG"),
        pytest.param(JPEG_2000, pillow(BIG, "JPEG2000", no_jp2=True), id="JPEG 2000"),
        pytest.param(JPEG_LS, None, id="JPEG-LS"),
        pytest.param(RLE, None, id="RLE"),
    ],
)
def test_a_frame_larger_than_its_header_says_is_not_decoded(syntax: str, frame: bytes | None) -> None:
    file = (
        compressed(BIG, syntax)
        if frame is None
        else dicom_photograph(BIG, TransferSyntaxUID=syntax, frame=frame)
    )
    dataset = dcmread(io.BytesIO(file))
    dataset.Rows, dataset.Columns = 26, 34
    out = io.BytesIO()
    dataset.save_as(out)
    with pytest.raises(DicomDamageError, match="header"):
        read(out.getvalue())


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (24, struct.pack(">LL", 1, 1), "tiles"),
        (24, struct.pack(">LL", 0, 0), "tiles"),
        (40, struct.pack(">H", 4), "samples"),
        (42, b"\x0f", "samples of 8 bits"),
        (0, b"\0", "begin as a JPEG 2000"),
    ],
    ids=["a tile a pixel", "tiles without a size", "more samples", "16 bits", "no codestream"],
)
def test_a_jpeg_2000_frame_that_contradicts_the_header_is_not_decoded(
    at: int, value: bytes, words: str
) -> None:
    frame = pillow(BIG, "JPEG2000", no_jp2=True)
    frame = frame[:at] + value + frame[at + len(value) :]
    file = dicom_photograph(
        BIG, TransferSyntaxUID=JPEG_2000, PhotometricInterpretation="YBR_RCT", frame=frame
    )
    with pytest.raises(DicomDamageError, match=words):
        read(file)


def test_an_rle_frame_that_expands_beyond_the_header_is_not_decoded() -> None:
    run = b"\x81\x00" * 200_000  # 128 bytes from two
    frame = struct.pack("<16L", 3, 64, 64, 64, *[0] * 12) + run
    with pytest.raises(DicomDamageError, match="expands"):
        read(dicom_photograph(SMALL, TransferSyntaxUID=RLE, frame=frame))


def split(file: bytes) -> tuple[bytes, bytes]:
    """Split a file into preamble with file meta information, and data set."""
    end = 144 + struct.unpack_from("<L", file, 140)[0]
    return file[:end], file[end:]


HEAD, BODY = split(dicom_photograph(SMALL))


def test_a_deflated_data_set_above_the_limit_is_rejected() -> None:
    file = dicom_photograph(SMALL)
    stored = dicom_photograph(SMALL, TransferSyntaxUID=DEFLATED)
    end_of_meta = 144 + struct.unpack_from("<L", stored, 140)[0]
    bomb = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    data = (
        bomb.compress(file[144 + struct.unpack_from("<L", file, 140)[0] :] + bytes(50_000_000)) + bomb.flush()
    )
    assert len(data) < 100_000
    with pytest.raises(DicomSizeError, match="deflated"):
        read(stored[:end_of_meta] + data, Limits(pixels=1_000_000))


ENDLESS = 0xFFFFFFFF
ITEM = (0xFFFE, 0xE000)


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    group, number = tag >> 16, tag & 0xFFFF
    length = len(value) if length is None else length
    return struct.pack("<HH2sHL", group, number, vr, 0, length) + value


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no data set"),
        (b"\x08\x00", "half a tag"),
        (element(0x00081115, b"SQ", b"", ENDLESS) * 3000, "sequences in sequences without end"),
        (
            (element(0x00081115, b"SQ", b"", ENDLESS) + struct.pack("<HHL", *ITEM, ENDLESS)) * 3000,
            "items in items without end",
        ),
        (element(0x00081115, b"SQ", struct.pack("<HHL", *ITEM, 0) * 500_000, ENDLESS), "empty items"),
        (element(0x00091010, b"OB", b"", 0xFFFFFFF0), "a length of 4 GB"),
        (
            b"".join(element(0x00091000 + (k << 16), b"OB", b"") for k in range(0, 60000, 2)) * 8,
            "a quarter of a million elements",
        ),
        (
            element(0x00091010, b"OB", struct.pack("<HHLHHL", *ITEM, 8, 0xFFFE, 0xE0DD, 0), ENDLESS) * 50_000,
            "values of undefined length, each of which is looked through to the end",
        ),
        (
            element(0x00080005, b"UT", b"X\\" * 2_000_000) + BODY,
            "a character set with millions of names, which a parser would look up one by one",
        ),
        (element(0x00100020, b"UT", b"X\\" * 2_000_000) + BODY, "a patient with millions of identifiers"),
        (element(0x00080005, b"UT", b"ISO_IR 100") * 2 + BODY, "twice the same: readers might differ"),
        (element(0x7FE00010, b"OB", bytes(4000)), "pixels alone"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_malicious_data_sets_are_rejected_fast(body: bytes, reason: str) -> None:
    with pytest.raises(ImageError):
        read(HEAD + body)


def nested(depth: int) -> st.SearchStrategy[Dataset]:
    """Data sets with sequences and items of defined and of undefined length."""
    below = st.lists(nested(depth - 1), max_size=3) if depth else st.just([])
    return st.builds(dataset_with, below, st.booleans(), st.booleans(), st.binary(max_size=20))


def dataset_with(items: list[Dataset], endless: bool, endless_items: bool, private: bytes) -> Dataset:
    dataset = Dataset()
    dataset.StudyDescription = "inside"
    dataset.add_new(0x00091010, "OB", private)
    dataset.ReferencedStudySequence = items
    dataset["ReferencedStudySequence"].is_undefined_length = endless
    for item in items:
        item.is_undefined_length_sequence_item = endless_items
    return dataset


@examples(60)
@given(nested(3), st.sampled_from(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"]))
def test_elements_nested_in_sequences_are_ignored(extra: Dataset, syntax: str) -> None:
    """A StudyDescription in an item of a sequence is not that of the file."""
    file = dcmread(io.BytesIO(dicom_photograph(SMALL, TransferSyntaxUID=syntax, StudyDescription="outside")))
    file.ReferencedImageSequence = [extra]
    file["ReferencedImageSequence"].is_undefined_length = True
    file.ReferencedStudySequence = extra.ReferencedStudySequence
    out = io.BytesIO()
    file.save_as(out)
    found = read(out.getvalue())
    assert found.header.StudyDescription == "outside"
    assert np.array_equal(found.image, SMALL)


def test_a_un_sequence_of_undefined_length_is_read_as_implicit_vr() -> None:
    """PS3.5, 6.2.2: UN of undefined length holds implicit elements, also in an explicit file."""
    inside = struct.pack("<HHL", *ITEM, ENDLESS) + struct.pack("<HHL4s", 0x0008, 0x1030, 4, b"text")
    ends = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    unknown = element(0x00071001, b"UN", inside + ends, ENDLESS)
    assert np.array_equal(read(HEAD + unknown + BODY).image, SMALL)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "empty"),
        (bytes(131), "too short"),
        (bytes(128) + b"DICM", "nothing behind the prefix"),
        (bytes(128) + b"DCIM" + bytes(1000), "another prefix"),
        (dicom_photograph(SMALL)[132:], "without preamble"),
        (dicom_photograph(SMALL)[:-1000], "cut short"),
    ],
)
def test_a_file_that_is_not_dicom_is_rejected(file: bytes, reason: str) -> None:
    with pytest.raises(ImageError):
        read(file)


SAMPLES = [
    dicom_photograph(SMALL, PatientName=SECRET),
    dicom_photograph(SMALL, PatientName=SECRET, TransferSyntaxUID="1.2.840.10008.1.2"),
    dicom_photograph(SMALL, PatientName=SECRET, TransferSyntaxUID=DEFLATED),
    dicom_photograph(
        SMALL, PatientName=SECRET, TransferSyntaxUID=JPEG, PhotometricInterpretation="YBR_FULL_422",
        frame=pillow(SMALL, "JPEG"),
    ),
    dicom_photograph(
        SMALL, PatientName=SECRET, TransferSyntaxUID=JPEG_2000, PhotometricInterpretation="YBR_RCT",
        frame=pillow(SMALL, "JPEG2000", no_jp2=True),
    ),
    compressed(SMALL, JPEG_LS),
    compressed(SMALL, RLE),
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A file with changed bytes, huge lengths, or parts removed, doubled or overwritten."""
    data = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        size = draw(st.sampled_from([1, 1, 2, 4, 8, 40]))
        how = draw(st.sampled_from(["flip", "length", "cut", "double", "swap", "end"]))
        if how == "flip":
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif how == "length":
            data[at : at + 4] = draw(st.sampled_from([b"\xff\xff\xff\xff", b"\xf0\xff\xff\xff", b"\0\0\0\0"]))
        elif how == "cut":
            del data[at : at + size]
        elif how == "double":
            data[at:at] = data[at : at + size]
        elif how == "swap":
            other = draw(st.integers(0, max(0, len(data) - 1)))
            data[at : at + size] = data[other : other + size]
        else:
            del data[at:]
    return bytes(data)


@examples(1000)
@given(mutated())
def test_damaged_files_raise_image_errors_only(data: bytes) -> None:
    raised = None
    try:
        found = read(data, Limits(pixels=1_000_000))
    except ImageError as error:
        raised = error
    if raised is None:
        assert found.image.ndim == 3
        assert found.image.size <= 3_000_000
    else:
        assert SECRET not in str(raised)
        assert raised.__cause__ is None
        assert raised.__suppress_context__


def test_values_of_a_file_are_not_in_logs_or_warnings(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = dicom_photograph(
            SMALL, PatientBirthDate=SECRET, StudyTime=SECRET, PatientID=SECRET * 30,
            ImageLaterality=SECRET.lower(), SpecificCharacterSet=SECRET,
        )  # fmt: skip
    disable_pydicom_logging.cache_clear()  # pytest has reset the filters of warnings
    with caplog.at_level(logging.DEBUG):
        read(file)
    assert SECRET.lower() not in caplog.text.lower()
    assert not [w for w in recwarn if SECRET.lower() in str(w.message).lower()]


def test_every_accepted_transfer_syntax_has_a_decoder() -> None:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    for uid in SYNTAXES:
        assert get_decoder(UID(uid)).is_available, uid


def test_a_picture_keeps_no_pixel_data_attribute() -> None:
    found = read(dicom_photograph(SMALL))
    assert isinstance(found.header, Dataset)
    assert "PixelData" not in found.header
    assert found.image.flags.c_contiguous


def screened(client: TestClient, file: bytes, kind: str, **parameters: Any) -> dict[str, Any]:
    response = client.post("/v1/screen", content=file, headers={"Content-Type": kind}, params=parameters)
    assert response.status_code == 200, response.text
    return {key: value for key, value in response.json().items() if key != "request_id"}


def test_a_dicom_photograph_has_the_same_answer_as_its_jpeg(client: TestClient, photo: Any) -> None:
    file = dicom_photograph(
        photo.image, TransferSyntaxUID=JPEG, PhotometricInterpretation="YBR_FULL_422", frame=photo.jpeg
    )
    assert screened(client, file, MEDIA_TYPE) == screened(client, photo.jpeg, "image/jpeg")


def test_a_mirrored_dicom_photograph_gives_the_same_sides(client: TestClient, photo: Any) -> None:
    mirrored = dicom_photograph(photo.image[:, ::-1], PatientOrientation=["R", "F"])
    assert screened(client, mirrored, MEDIA_TYPE) == screened(
        client, dicom_photograph(photo.image), MEDIA_TYPE
    )


def test_the_scale_of_the_file_is_used_unless_the_request_has_one(client: TestClient, photo: Any) -> None:
    calibrated = {"PixelSpacing": [0.25, 0.25], "PixelSpacingCalibrationType": "FIDUCIAL"}
    file = dicom_photograph(photo.image, **calibrated)
    scale = screened(client, file, MEDIA_TYPE)["faces"][0]["scale"]
    assert (scale["method"], scale["mm_per_px"]) == ("given", 0.25)
    scale = screened(client, file, MEDIA_TYPE, mm_per_px=0.3)["faces"][0]["scale"]
    assert scale["mm_per_px"] == 0.3


@pytest.mark.parametrize(
    ("file", "parameters", "status", "kind"),
    [
        pytest.param(dicom_photograph(SMALL)[:-500], {}, 422, "picture", id="cut short"),
        pytest.param(
            dicom_photograph(SMALL, SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), {}, 415, "media-type", id="kind"
        ),
        pytest.param(
            dicom_photograph(SMALL, Rows=9000, Columns=9000), {}, 413, "too-large", id="too many pixels"
        ),
        pytest.param(
            dicom_photograph(SMALL), {"mirrored": "true"}, 400, "parameter", id="mirrored against the file"
        ),
    ],
)
def test_errors_over_http(
    client: TestClient, file: bytes, parameters: dict[str, str], status: int, kind: str
) -> None:
    response = client.post(
        "/v1/screen", content=file, headers={"Content-Type": MEDIA_TYPE}, params=parameters
    )
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{kind}")
