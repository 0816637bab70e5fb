"""Parameters and pictures of requests: parsed, checked and decoded.

Nothing is written to disk: bodies and forms stay in memory, and the size of both is known before either is
looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from lidloop import heic, images
from lidloop.errors import ImageError, ImageSizeError, LidloopError
from lidloop.images import Decoded
from lidloop.screening.measurements import SIDES, Side
from lidloop.screening.screen import MAX_FACES, Options, Screening, exchanged_pupils
from lidloop.screening.thresholds import LARGEST, THRESHOLDS, Thresholds
from lidloop.web.body import parse_json, single_header
from lidloop.web.problems import Problem, too_large, wrong_parameter
from serving import preload
from serving.settings import Settings

if TYPE_CHECKING:
    from serving.protocols.dicom.photograph import DicomPicture
    from serving.protocols.fhir import BundleKind

Format = Literal["JPEG", "PNG", "HEIC", "DICOM"]

IMAGES: Final = ("image/jpeg", "image/png", "image/heic", "image/heif")
FORM: Final = "multipart/form-data"
DICOM: Final = "application/dicom"
TAKEN: Final = (*IMAGES, FORM, DICOM)
PARAMETERS: Final = ("mirrored", "mm_per_px", "pupils", "max_faces", "bundle", *THRESHOLDS)
BUNDLES: Final = ("collection", "transaction")
"""Types of FHIR bundles that `bundle` asks for."""
SUBJECT: Final = "subject"
"""A field of forms only: it may name a patient, and addresses end up in logs of proxies."""
FIELDS: Final = (*PARAMETERS, SUBJECT)
"""Fields that a form may have besides the picture."""

MM_PER_PX: Final = (1e-4, 10.0)
"""Range of accepted scales, in mm per pixel."""

_FORM_OVERHEAD: Final = 64 * 1024
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


def media_type(request: Request) -> tuple[str, dict[str, str]]:
    """Return the media type of the body in lower case and its parameters; empty where none is named.

    Raises:
        Problem: ``body`` for two content types.
    """
    kind, parameters = parse_options_header(single_header(request.headers, "content-type") or "")
    return _latin(kind).strip().lower(), {_latin(k).lower(): _latin(v) for k, v in parameters.items()}


def _latin(text: bytes | str) -> str:
    return text.decode("latin-1") if isinstance(text, bytes) else text


def body_limit(kind: str, settings: Settings) -> int:
    """Return the largest body of a media type; a form has some bytes beside the picture."""
    return settings.body_bytes + (_FORM_OVERHEAD if kind == FORM else 0)


def options(given: Mapping[str, str], settings: Settings) -> Options:
    """Return the options of a screening from its parameters.

    Args:
        given: parameters of the address and of the form, each once.
        settings: smallest score, and thresholds of the flag that are not given.

    Raises:
        Problem: 400 that names the parameter.
    """
    for name in given:
        if name == SUBJECT:
            raise wrong_parameter(name, "send it as a field of a form, not in the address")
        if name not in PARAMETERS:
            raise wrong_parameter(name, f"there is no such parameter; there are {', '.join(PARAMETERS)}")
    return Options(
        mirrored=_boolean("mirrored", given.get("mirrored", "false")),
        mm_per_px=_number("mm_per_px", given["mm_per_px"], *MM_PER_PX) if "mm_per_px" in given else None,
        pupils=_pupils(given["pupils"]) if "pupils" in given else {},
        max_faces=_whole("max_faces", given["max_faces"], 1, MAX_FACES) if "max_faces" in given else 10,
        conf=settings.conf,
        thresholds=_thresholds(given, settings),
    )


def _thresholds(given: Mapping[str, str], settings: Settings) -> Thresholds:
    """Return the thresholds of the settings, replaced by those that are given."""
    found = settings.thresholds
    for name in THRESHOLDS:
        if name in given:
            try:
                found = replace(found, **{name: float(given[name])})
            except (ValueError, LidloopError):
                raise wrong_parameter(
                    name, f"must be a number of millimetres above 0 and up to {LARGEST:g}"
                ) from None
    return found


def bundle_kind(given: Mapping[str, str]) -> BundleKind:
    """Return the type of the FHIR bundle that is requested; other answers do not depend on it.

    Raises:
        Problem: 400 for an unknown one.
    """
    kind = given.get("bundle", "collection")
    if kind not in BUNDLES:
        raise wrong_parameter("bundle", f"must be {' or '.join(BUNDLES)}")
    return "transaction" if kind == "transaction" else "collection"


def merged(pairs: Sequence[tuple[str, str]], fields: Mapping[str, str]) -> dict[str, str]:
    """Merge the parameters of the query string and of a form.

    Raises:
        Problem: 400 for one that is given twice.
    """
    given = dict(fields)
    for name, value in pairs:
        if name in given:
            raise wrong_parameter(name, "given twice")
        given[name] = value
    return given


def _boolean(name: str, text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise wrong_parameter(name, "must be true or false") from None


def _number(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise wrong_parameter(name, f"must be a number from {low:g} to {high:g}")
    return value


def _whole(name: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise wrong_parameter(name, f"must be a whole number from {low} to {high}")
    return int(text)


def _pupils(text: str) -> dict[Side, tuple[float, float]]:
    wrong = wrong_parameter("pupils", 'must be JSON such as {"OD": [412.5, 300], "OS": [520, 301.5]}')
    try:
        value = parse_json(text.encode())
    except (Problem, UnicodeError):
        raise wrong from None
    if not isinstance(value, dict) or not value or set(value) - set(SIDES):
        raise wrong
    return {side: _point(value[side], wrong) for side in SIDES if side in value}


def _point(value: Any, wrong: Problem) -> tuple[float, float]:
    numbers = isinstance(value, list) and len(value) == 2 and all(type(v) in (int, float) for v in value)
    if not numbers or not all(abs(v) < 1e6 for v in value):  # NaN and infinity are in Python's JSON
        raise wrong
    return float(value[0]), float(value[1])


def check_sides(screening: Screening, options: Options) -> None:
    """Reject pupils that lie in the eye of the other side: then all sides of the answer may be wrong.

    Raises:
        Problem: 400.
    """
    for side in exchanged_pupils(screening, options):
        raise wrong_parameter(
            "pupils",
            f"the pupil given as {side} lies in the other eye; OD is the patient's right, which an "
            "unmirrored picture shows at its left: is the picture mirrored, or are the sides exchanged?",
        )


def check_pupils(given: Options, width: int, height: int) -> None:
    """Reject pupils outside the picture.

    Raises:
        Problem: 400 that names ``pupils``.
    """
    for side, (x, y) in given.pupils.items():
        if not (0 <= x < width and 0 <= y < height):
            raise wrong_parameter("pupils", f"{side} lies outside the picture of {width} x {height} pixels")


def sniff(data: bytes) -> Format | None:
    """Format of a file by its first bytes; None for one that is not accepted."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[128:132] == b"DICM":
        return "DICOM"
    if heic.is_heic(data):
        return "HEIC"
    return None


_OTHERS: Final[dict[bytes, str]] = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"%PDF": "a PDF",
    b"\xff\x0a": "a JPEG XL",
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
    b"\0\0\0\x0cJXL ": "a JPEG XL",
}
_DATA_SETS: Final = (
    b"\x02\0\0\0",
    b"\x02\0\x01\0",
    b"\x08\0\0\0",
    b"\x08\0\x05\0",
    b"\x08\0\x08\0",
    b"\x08\0\x16\0",
)
"""First bytes of a DICOM data set: the element of group 2 or 8 that comes first in little endian."""


def not_accepted(data: bytes) -> str:
    """Message for a file whose format is not accepted; it names the format where that is known."""
    accepted = "accepted are JPEG, PNG, HEIC and DICOM"
    if data.startswith(_DATA_SETS):
        return (
            "the body is a DICOM data set without the preamble and the prefix DICM of a DICOM file (PS3.10); "
            "save it as a DICOM file, such as with dcmconv"
        )
    name = next((name for start, name in _OTHERS.items() if data.startswith(start)), None)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        name = "a WebP"
    elif data[4:8] == b"ftyp":
        name = "an AVIF" if data[8:12] in (b"avif", b"avis") else "a video or another file of the HEIF family"
    if name is None:
        return f"by its first bytes the picture is of no format that is known; {accepted}"
    return f"the picture is {name} file; {accepted}"


def decode_picture(data: bytes, settings: Settings) -> Decoded:
    """Decode a JPEG, PNG or HEIC, upright.

    Args:
        data: the file; ``sniff`` told its format.
        settings: limits in pixels, compared with the header before a pixel is decoded.

    Raises:
        Problem: 413 for too many pixels, 422 for a file that is damaged or of a variant that is not accepted.
    """
    where = "the picture"
    try:
        decoded = images.decode(
            data, where=where, max_pixels=settings.pixels, max_reduced_pixels=settings.reduced_pixels
        )
    except ImageSizeError:
        jpeg = data.startswith(b"\xff\xd8")
        limit = max(settings.pixels, settings.reduced_pixels) if jpeg else settings.pixels
        raise too_large("The picture has too many pixels", limit, "pixels") from None
    except ImageError as error:
        raise Problem("picture", str(error)) from None
    if decoded.animated:
        raise Problem("picture", "the picture is animated; send a single frame")
    return sound(decoded)


def sound(decoded: Decoded) -> Decoded:
    """Refuse a picture whose file is certainly damaged.

    Raises:
        Problem: 422.
    """
    if decoded.damage is not None and decoded.damage.certain:
        raise Problem("picture", f"{decoded.damage.text}; send the original file or take a new photograph")
    return decoded


def decode_dicom(data: bytes, settings: Settings) -> DicomPicture:
    """A DICOM photograph.

    Raises:
        Problem: 413, 415 for a kind that is not accepted, 422 for a damaged one.
    """
    preload.wait()
    from serving.protocols.dicom.photograph import Limits, read
    from serving.protocols.dicom.scan import DicomKindError, DicomSizeError

    limits = Limits(settings.body_bytes, settings.pixels, settings.reduced_pixels)
    try:
        found = read(data, limits, secondary_capture=settings.secondary_capture)
    except DicomSizeError as error:
        raise Problem("too-large", str(error), limit=settings.pixels, unit="pixels") from None
    except DicomKindError as error:
        raise Problem("media-type", str(error)) from None
    except ImageError as error:
        raise Problem("picture", str(error)) from None
    sound(found.decoded)
    return found
