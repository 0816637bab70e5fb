"""HEIC photographs."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from lidloop import heic, images
from lidloop.errors import ImageError, ImageSizeError
from lidloop.synthetic import draw_face

pillow_heif = pytest.importorskip("pillow_heif")

FACE = draw_face(seed=3, size=(480, 416), canthal_px=160.0).image


def encode(image: np.ndarray, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(image)).save(out, quality=90, exif=exif.tobytes())
    return out.getvalue()


def test_a_heic_is_decoded_upright_once() -> None:
    """The container turns it, and the EXIF orientation that says the same is not applied again."""
    lying = np.ascontiguousarray(np.rot90(FACE))
    for data in (encode(FACE), encode(lying, 6)):
        assert heic.is_heic(data)
        decoded = images.decode(data, where="x")
        assert (decoded.width, decoded.height) == (480, 416)
        assert np.abs(decoded.pixels.astype(int) - FACE).mean() < 4


def test_size_is_checked_before_decoding() -> None:
    data = encode(FACE)
    with pytest.raises(ImageSizeError, match="480 x 416"):
        images.decode(data, where="x", max_pixels=480 * 416 - 1)
    at = data.index(b"ispe") + 8
    small = data[:at] + struct.pack(">LL", 16, 16) + data[at + 8 :]
    with pytest.raises(ImageError):  # it expands beyond what its header says
        images.decode(small, where="x")


@pytest.mark.parametrize("length", [30, 200, 600])
def test_a_truncated_heic_is_an_image_error(length: int) -> None:
    with pytest.raises(ImageError, match="damaged or cut short"):
        images.decode(encode(FACE)[:length], where="x")


def test_data_sets_have_no_heic() -> None:
    with pytest.raises(ImageError, match="save it as JPEG or PNG"):
        images.decode_rgb(encode(FACE), where="x")


def test_other_files_of_the_heif_family_are_not_heic() -> None:
    for brand, compatible in ((b"avif", b"mif1"), (b"mif1", b"avif"), (b"mp42", b"isom")):
        assert not heic.is_heic(struct.pack(">L", 24) + b"ftyp" + brand + bytes(4) + compatible + b"miaf")
    assert heic.is_heic(struct.pack(">L", 24) + b"ftypmif1" + bytes(4) + b"miafheic")
