"""Malformed pictures for ``make soak`` and tests: damaged, mislabelled, oversized.

Every mutation is drawn from a seed, so that a harmful one can be reproduced.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import cv2
import numpy as np
from PIL import Image

TYPES: Final = ("image/jpeg", "image/png", "application/dicom", "multipart/form-data", "text/plain", "")


class Mutation(NamedTuple):
    """A malformed picture: description, bytes, and the content type that it is sent with."""

    name: str
    data: bytes
    content_type: str


Rng = np.random.Generator
Change = Callable[[bytes, Rng], bytes]


def mutations(photo: np.ndarray, *, number: int, seed: int = 0) -> Iterator[Mutation]:
    """Draw ``number`` mutations of a picture, (h, w, 3) uint8 RGB."""
    rng = np.random.default_rng([20240407, seed])
    seeds = _seeds(photo)
    kinds = list(_CHANGES)
    for k in range(number):
        start = str(rng.choice(list(seeds)))
        kind = kinds[k % len(kinds)]
        data = _CHANGES[kind](seeds[start], rng)
        if rng.random() < 0.2:
            other = str(rng.choice(kinds))
            kind, data = f"{kind}, {other}", _CHANGES[other](data, rng)
        natural = "image/png" if start.startswith("PNG") else "image/jpeg"
        claimed = natural if rng.random() < 0.85 else str(rng.choice(TYPES))
        yield Mutation(f"{k}: {start}, {kind}", data, claimed)


def _seeds(photo: np.ndarray) -> dict[str, bytes]:
    """Encodings of the picture that are mutated, by name: all variants that the decoder distinguishes."""
    picture = Image.fromarray(photo)
    small = picture.resize((picture.width // 4, picture.height // 4))
    deep = cv2.imencode(".png", photo[::4, ::4, ::-1].astype(np.uint16) * 257)[1].tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "x" * 500
    return {
        "JPEG": _save(picture, "JPEG"),
        "JPEG, progressive": _save(small, "JPEG", progressive=True),
        "JPEG, CMYK": _save(small.convert("CMYK"), "JPEG"),
        "JPEG, EXIF orientation": _save(small, "JPEG", exif=exif),
        "JPEG, two pictures": _save(small, "MPO", save_all=True, append_images=[small]),
        "PNG": _save(small, "PNG"),
        "PNG, 16 bits": deep,
        "PNG, animated": _save(small, "PNG", save_all=True, append_images=[small.rotate(9)]),
        "PNG, palette with alpha": _save(small.convert("RGBA").quantize(200), "PNG"),
    }


def _save(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _flip(data: bytes, rng: Rng) -> bytes:
    """Flip bits anywhere."""
    return _flipped(data, rng, 0, len(data))


def _flip_head(data: bytes, rng: Rng) -> bytes:
    """Flip bits at the beginning, where formats keep their structure."""
    return _flipped(data, rng, 2, min(600, len(data)))


def _flipped(data: bytes, rng: Rng, low: int, high: int) -> bytes:
    out = bytearray(data)
    for place in rng.integers(low, max(low + 1, high), int(rng.integers(1, 40))):
        if place < len(out):
            out[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(out)


def _truncate(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(0, len(data) + 1))]


def _cut(data: bytes, rng: Rng) -> bytes:
    """Remove a part."""
    a, b = sorted(int(v) for v in rng.integers(0, len(data) + 1, 2))
    return data[:a] + data[b:]


def _double(data: bytes, rng: Rng) -> bytes:
    """Repeat a part many times."""
    a = int(rng.integers(0, len(data) + 1))
    return data[:a] + data[a : a + 200] * int(rng.integers(2, 60)) + data[a:]


def _junk(data: bytes, rng: Rng) -> bytes:
    """Keep the beginning, then random bytes."""
    keep = int(rng.integers(0, 40))
    return data[:keep] + rng.integers(0, 256, int(rng.integers(0, 5000)), dtype=np.uint8).tobytes()


def _giant(data: bytes, rng: Rng) -> bytes:
    """Change the size in the header, mostly to a huge one."""
    width, height = (int(v) for v in rng.choice([0, 1, 255, 5001, 30_000, 65_535], 2))
    if data.startswith(b"\x89PNG"):
        head = data[12:16] + struct.pack(">II", width, height) + data[24:29]
        return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]
    frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    if frame < 0:
        return data
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


def _bloat(data: bytes, rng: Rng) -> bytes:
    """Add headers of up to a few megabytes: comments, application segments, compressed text."""
    size = int(rng.choice([100, 60_000, 3_000_000]))
    if data.startswith(b"\x89PNG"):
        text = b"zTXtx\0\0" + zlib.compress(bytes(size * 10))
        chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
        return data[:33] + chunk + data[33:]
    segment = (
        b"\xff" + bytes([int(rng.choice([0xE1, 0xE2, 0xFE]))]) + struct.pack(">H", 60_002) + bytes(60_000)
    )
    return data[:2] + segment * max(1, size // 60_000) + data[2:]


def _scans(data: bytes, rng: Rng) -> bytes:
    """Repeat the last scan of a JPEG many times."""
    last = data.rfind(b"\xff\xda")
    return data[:-2] + data[last:-2] * int(rng.integers(2, 3000)) + data[-2:] if last > 0 else data


def _disguise(data: bytes, rng: Rng) -> bytes:
    """Replace the first bytes by those of another format."""
    heads = (
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"BM",
        b"RIFF0000WEBP",
        b"II*\0",
        bytes(128) + b"DICM",
    )
    head = heads[int(rng.integers(0, len(heads)))]
    return head + data[len(head) :]


def _whole(data: bytes, rng: Rng) -> bytes:
    """Unchanged."""
    return data


def _inflate(data: bytes, rng: Rng) -> bytes:
    """Make a PNG of one colour: a few kilobytes that decode to up to 100 megapixels."""
    side = int(rng.choice([100, 2000, 4900, 10_000]))
    rows = zlib.compress(bytes(side * ((side + 7) // 8 + 1)), 9)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    )


_CHANGES: Final[dict[str, Change]] = {
    "whole": _whole,
    "bits flipped": _flip,
    "bits flipped at the beginning": _flip_head,
    "cut short": _truncate,
    "a piece missing": _cut,
    "a piece doubled": _double,
    "junk": _junk,
    "another size promised": _giant,
    "bloated": _bloat,
    "many scans": _scans,
    "disguised": _disguise,
    "a bomb": _inflate,
}
