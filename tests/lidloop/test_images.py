"""Pictures as upright RGB arrays."""

import io
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lidloop.errors import ImageError, ImageSizeError
from lidloop.images import decode_header, decode_rgb, image_size, read_header, read_rgb
from lidloop.jpeg import MAX_SCANS

W, H = 48, 32


def picture() -> NDArray[np.uint8]:
    """A picture in which every orientation looks different, smooth enough for JPEG."""
    noise = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    return cv2.resize(noise, (W, H), interpolation=cv2.INTER_CUBIC)


def encoded(kind: str, orientation: int | None = None) -> bytes:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    buffer = io.BytesIO()
    options = {} if kind == "BMP" else {"exif": exif}
    Image.fromarray(picture()).save(buffer, kind, **options, **({"lossless": True} if kind == "WEBP" else {}))
    return buffer.getvalue()


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}
"""Rotation and mirroring of each EXIF orientation (EXIF 2.32, tag 274)."""


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied(tmp_path: Path, kind: str, orientation: int) -> None:
    path = tmp_path / f"x.{kind.lower()}"
    path.write_bytes(encoded(kind, orientation))
    plain = decode_rgb(encoded(kind), where="plain")
    pixels = read_rgb(path)
    assert np.array_equal(pixels, UPRIGHT[orientation](plain))
    assert image_size(path) == (pixels.shape[1], pixels.shape[0])
    assert read_header(path).orientation == orientation


@pytest.mark.parametrize("orientation", [0, 9, 4000])
def test_an_orientation_that_does_not_exist_is_upright(orientation: int) -> None:
    assert np.array_equal(
        decode_rgb(encoded("JPEG", orientation), where="x"), decode_rgb(encoded("JPEG"), where="x")
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_pixels_are_those_of_opencv(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "ünïcode.bin"  # the content decides, not the ending
    path.write_bytes(encoded(kind))
    pixels = read_rgb(path)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, cv2.imread(str(path))[..., ::-1])
    if kind != "JPEG":
        assert np.array_equal(pixels, picture())


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("L", "grey"), ("RGBA", "alpha"), ("P", "palette"), ("1", "one bit"), ("I;16", "16 bits")],
)
def test_other_modes_become_rgb(tmp_path: Path, mode: str, reason: str) -> None:
    path = tmp_path / "x.png"
    if mode == "I;16":
        cv2.imwrite(str(path), picture()[..., 0].astype(np.uint16) * 257)
    else:
        Image.fromarray(picture()).convert(mode).save(path)
    assert read_rgb(path).shape == (H, W, 3), reason


@pytest.mark.parametrize(
    ("data", "message", "reason"),
    [
        (b"", "not a picture", "an empty file"),
        (b"hello, this is text", "not a picture", "text"),
        (b"GIF89a" + bytes(50), "not a picture", "a kind that is not read"),
        (encoded("JPEG")[:-2], "cut short", "a JPEG without its end"),
        (encoded("JPEG")[:-200], "cut short", "a JPEG with half its rows"),
        (encoded("PNG")[:-500], "damaged|cut short", "a PNG cut short"),
        (encoded("BMP")[:-50], "cut short", "a BMP cut short"),
        (encoded("WEBP")[:-50], "cannot be read", "a WebP cut short"),
        (encoded("TIFF")[:-50], "damaged|cut short|not a picture", "a TIFF cut short"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_damaged_pictures_are_refused(tmp_path: Path, data: bytes, message: str, reason: str) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=message) as info:
        read_rgb(path)
    assert str(path) in str(info.value), reason


def test_bytes_behind_the_end_do_no_harm() -> None:
    junk = b"\xff\xda" + bytes(100)
    assert np.array_equal(
        decode_rgb(encoded("JPEG") + junk, where="x"), decode_rgb(encoded("JPEG"), where="x")
    )


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.jpg", "no such file"), (tmp_path, "folder")):
        with pytest.raises(ImageError, match=message):
            read_rgb(path)
        with pytest.raises(ImageError, match=message):
            image_size(path)


def test_size_is_checked_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    data = bytearray(encoded("PNG"))
    path.write_bytes(data)
    with pytest.raises(ImageSizeError, match=f"too large: {W} x {H}"):
        read_rgb(path, max_pixels=W * H - 1)
    assert read_rgb(path, max_pixels=W * H).shape == (H, W, 3)
    data[16:24] = (60_000).to_bytes(4, "big") * 2  # a header that promises 3.6 gigapixels
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(ImageSizeError, match="too large"):
        read_rgb(path)


def progressive(repeats: int) -> bytes:
    """A progressive JPEG whose last scan stands in it so many times more."""
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * repeats + data[-2:]


def test_a_picture_of_endless_scans_is_refused() -> None:
    assert decode_rgb(progressive(10), where="x").shape == (H, W, 3)
    with pytest.raises(ImageError, match=f"scans, the limit is {MAX_SCANS}"):
        decode_rgb(progressive(MAX_SCANS), where="x")


def test_an_animated_png_says_so() -> None:
    buffer = io.BytesIO()
    frames = [Image.fromarray(picture()), Image.fromarray(255 - picture())]
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    assert decode_header(buffer.getvalue(), where="x").animated
    assert not decode_header(encoded("PNG"), where="x").animated
