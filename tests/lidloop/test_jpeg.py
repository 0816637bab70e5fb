"""JPEG structure, damage and reduced scale."""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lidloop import images, jpeg
from lidloop.errors import ImageError, ImageSizeError
from lidloop.synthetic import draw_face

KINDS: dict[str, dict[str, Any]] = {
    "4:2:0": {"quality": 90},
    "4:4:4": {"quality": 95, "subsampling": 0},
    "optimised": {"quality": 90, "optimize": True},
    "progressive": {"quality": 90, "progressive": True},
}
FACE = draw_face(seed=3, size=(480, 416), canthal_px=160.0).image


def encode(image: NDArray[np.uint8], **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", **options)
    return out.getvalue()


def damaged(data: bytes, count: int, rng: np.random.Generator) -> bytes:
    """Change bytes at random places from the first scan on."""
    out = bytearray(data)
    for at in rng.integers(data.index(b"\xff\xda") + 14, len(data) - 2, count):
        out[at] ^= int(rng.integers(1, 256))
    return bytes(out)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("count", "most"), [(1, 0.08), (4, 0.08), (16, 0.03)])
def test_damage_is_found_or_changes_little(kind: str, count: int, most: float) -> None:
    """``most``: share of damaged files that look sound although more than 2 % of the pixels changed."""
    data = encode(FACE, **KINDS[kind])
    sound = jpeg.decode(data, where="x")
    assert sound.damage is None
    rng = np.random.default_rng(count)
    unnoticed, trials = 0, 120
    for _ in range(trials):
        try:
            found = jpeg.decode(damaged(data, count, rng), where="x")
        except ImageError:
            continue
        if found.damage is None:
            changed = np.abs(found.pixels.astype(int) - sound.pixels).max(axis=2) > 24
            unnoticed += changed.mean() > 0.02
    assert unnoticed / trials <= most


def test_a_shift_that_no_decoder_notices_is_found_by_its_seam() -> None:
    """From the 13th MCU of the 9th row on, everything is 20 grey levels brighter."""
    shifted = FACE.astype(int)
    shifted[128:144, 192:] += 20
    shifted[144:] += 20
    pixels = np.clip(shifted, 0, 255).astype(np.uint8)
    assert jpeg.has_seam(pixels, 16, 16)
    assert not jpeg.has_seam(FACE, 16, 16)
    framed = FACE.copy()
    framed[:64] = 0  # a bar whose edge lies on the blocks' grid
    framed[352:] = 255
    assert not jpeg.has_seam(framed, 16, 16)


@pytest.mark.parametrize(
    ("behind", "reason"),
    [
        (b"\0\0\0\x18ftypmp42" + b"\xff\xda\0\x08" * 5000, "motion photo: a video with many scan markers"),
        (encode(FACE[:64, :64]) * 3, "multi-picture file: further JPEGs"),
        (b"\xff\xd9\xff\xda" * 300 + b"SEFT", "trailer of a phone"),
        (bytes(100), "padding"),
    ],
)
def test_what_follows_a_jpeg_does_not_belong_to_it(behind: bytes, reason: str) -> None:
    data = encode(FACE, quality=90)
    plain, found = jpeg.decode(data, where="x"), jpeg.decode(data + behind, where="x")
    assert np.array_equal(plain.pixels, found.pixels), reason
    assert found.damage is None, reason
    with pytest.raises(ImageError, match="end of the JPEG is missing"):
        jpeg.decode(data[:-300], where="x")


def test_oddities_that_change_no_pixel_are_not_damage() -> None:
    data = encode(FACE, quality=90)
    plain = jpeg.decode(data, where="x").pixels
    scan = data.index(b"\xff\xda")
    oddities = {
        "unknown JFIF revision": data[:11] + b"\x07\x00" + data[13:],
        "bytes between segments": data[:scan] + bytes(7) + data[scan:],
        "zeros before the end": data[:-2] + bytes(5) + data[-2:],
        "spectral selection in a sequential scan": data[: scan + 12] + b"\x00" + data[scan + 13 :],
    }
    for name, odd in oddities.items():
        found = jpeg.decode(odd, where="x")
        assert found.damage is None, name
        assert np.array_equal(found.pixels, plain), name
    doubtful = jpeg.decode(data[:-2] + b"\x12\x34\x56" + data[-2:], where="x")
    assert doubtful.damage is not None
    assert not doubtful.damage.certain


def test_cmyk_and_ycck_have_the_pixels_of_opencv() -> None:
    out = io.BytesIO()
    Image.fromarray(FACE).convert("CMYK").save(out, "JPEG", quality=95)
    cmyk = out.getvalue()
    adobe = cmyk.index(b"Adobe")
    for data in (cmyk, cmyk[: adobe + 11] + b"\x02" + cmyk[adobe + 12 :]):
        expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        assert np.abs(jpeg.decode(data, where="x").pixels.astype(int) - expected).max() <= 1


def with_orientation(data: bytes, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_reduced_scale_keeps_places_of_the_file(orientation: int) -> None:
    """A dot is where it is in the full picture, whatever the rounding of odd sizes and the orientation."""
    image = np.full((413, 477, 3), 60, np.uint8)
    image[90:99, 300:309] = 250
    data = with_orientation(encode(image, quality=95, subsampling=0), orientation)
    full = images.decode(data, where="x")
    small = images.decode(data, where="x", max_pixels=80_000, max_reduced_pixels=200_000)
    assert (small.width, small.height) == full.pixels.shape[1::-1]
    assert small.factor == 1.6
    assert small.pixels.shape[0] * small.pixels.shape[1] <= 80_000

    def centre(decoded: images.Decoded) -> NDArray[np.float64]:
        y, x = np.nonzero(decoded.pixels[..., 0] > 150)
        return decoded.to_file(np.array([x.mean(), y.mean()]))

    assert centre(small) == pytest.approx(centre(full), abs=0.6)
    there = np.array([[10.0, 20.0], [300.0, 0.0]])
    assert small.to_file(small.from_file(there)) == pytest.approx(there)
    with pytest.raises(ImageSizeError):
        images.decode(data, where="x", max_pixels=80_000, max_reduced_pixels=190_000)


def test_damaged_exif_leaves_a_picture_and_its_size_consistent() -> None:
    data = bytearray(with_orientation(encode(FACE), 6))
    start = data.index(b"Exif")
    rng = np.random.default_rng(1)
    for _ in range(60):
        broken = bytearray(data)
        for at in rng.integers(start, start + 30, 3):
            broken[at] = rng.integers(0, 256)
        header = images.decode_header(bytes(broken), where="x")
        decoded = images.decode(bytes(broken), where="x")
        assert decoded.pixels.shape == (header.height, header.width, 3)


def test_a_png_with_a_wrong_checksum_is_damaged() -> None:
    out = io.BytesIO()
    Image.fromarray(FACE).save(out, "PNG")
    data = out.getvalue()
    rng = np.random.default_rng(2)
    first = data.index(b"IDAT") + 4
    for at in rng.integers(first, len(data) - 20, 40):
        broken = bytearray(data)
        broken[at] ^= 0x55
        with pytest.raises(ImageError, match="damaged"):
            images.decode(bytes(broken), where="x")
