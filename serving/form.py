"""``multipart/form-data`` (RFC 7578), parsed in memory: a picture and a few small fields."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import unquote

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from lidloop.web.problems import Problem, wrong_parameter

IMAGE: Final = "image"

# It warns of broken forms with bytes of what was sent.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL + 1)

_MAX_PARTS: Final = 16
_MAX_FIELD: Final = 1024
"""Bytes of a field other than the picture: parsing JSON of megabytes would delay all other requests."""
_ENCODINGS: Final = ("", "binary", "8bit", "7bit")
_EXTENDED_NAME: Final = re.compile(r";\s*name\*=UTF-8'[^']*'([^\s;\"]+)", re.IGNORECASE)


class Form(NamedTuple):
    """A form: the bytes of its field ``image``, the other fields, and the number of fields not used."""

    image: bytes
    fields: dict[str, str]
    unused: int


@dataclass(slots=True)
class _Part:
    """One part; ``size`` goes on counting where ``data`` of an unknown field is kept no longer."""

    headers: dict[str, bytes] = field(default_factory=dict)
    name: str = ""
    is_file: bool = False
    data: bytearray = field(default_factory=bytearray)
    size: int = 0


def parse_form(body: bytes, boundary: str, known: Collection[str]) -> Form:
    """Parse a form.

    Fields whose name is not ASCII are counted and not used: such a name cannot be a misspelt parameter, and
    forms of other programs have them. The file name of the picture is never read, in whatever encoding it is.

    Args:
        body: the body of the request.
        boundary: parameter ``boundary`` of the content type; empty where there is none.
        known: names of the fields besides ``image``.

    Raises:
        Problem: ``body`` for a malformed form, or one without ``image``; ``parameter`` for a field that is
            unknown, too long or given twice.
    """
    if not boundary:
        raise Problem(
            "body",
            "the content type multipart/form-data has no boundary; do not set the content type by hand, the "
            "HTTP client adds it with the boundary",
        )
    found: dict[str, _Part] = {}
    unused = 0
    for part in _Parser(boundary, known).parse(body):
        if not part.name.isascii():
            unused += 1
        elif part.name in found:
            raise wrong_parameter(part.name, "the form has it twice")
        else:
            found[part.name] = part
    if IMAGE not in found:
        raise Problem("body", _no_image(list(found.values()), known, unused))
    image = bytes(found.pop(IMAGE).data)
    if not image:
        raise Problem("body", f"the field `{IMAGE}` is empty; no file was chosen")
    for name, part in found.items():
        if name not in known:
            raise wrong_parameter(_shown(name), f"there is no such field; there are {', '.join(known)}")
        if part.size > _MAX_FIELD:
            raise wrong_parameter(name, f"a field may have {_MAX_FIELD} bytes")
    try:
        return Form(image, {name: part.data.decode() for name, part in found.items()}, unused)
    except UnicodeDecodeError:
        raise Problem("body", f"a field of the form other than `{IMAGE}` is not UTF-8 text") from None


def _no_image(parts: list[_Part], known: Collection[str], unused: int) -> str:
    """Explain that there is no picture, and name the field that probably holds it."""
    others = [part for part in parts if part.name not in known]
    likely = [part for part in others if part.is_file or part.size > _MAX_FIELD] or others
    if len(likely) == 1:
        return f"the picture is in the field `{_shown(likely[0].name)}`; the field is `{IMAGE}`"
    if not likely and unused == 1:
        return f"the picture is in a field whose name is not ASCII; the field is `{IMAGE}`"
    return f"the form has no field `{IMAGE}`"


def _shown(name: str) -> str:
    """A field's name as an error may repeat it."""
    return name[:64] if name.isprintable() else "?"


class _Parser:
    """Collects the parts that ``MultipartParser`` reports."""

    def __init__(self, boundary: str, known: Collection[str]) -> None:
        self._boundary, self._kept_whole = boundary, known
        self._parts: list[_Part] = []
        self._name, self._value = bytearray(), bytearray()
        self._ended = False

    def parse(self, body: bytes) -> list[_Part]:
        """Return the parts in their order."""
        try:
            parser = MultipartParser(
                self._boundary,
                {
                    "on_part_begin": self._begin,
                    "on_part_data": self._data,
                    "on_header_field": lambda data, start, stop: self._name.extend(data[start:stop]),
                    "on_header_value": lambda data, start, stop: self._value.extend(data[start:stop]),
                    "on_header_end": self._header,
                    "on_headers_finished": self._headers,
                    "on_end": self._end,
                },
            )
            parser.write(body)
            parser.finalize()
        except MultipartParseError as error:
            raise Problem("body", f"the form cannot be read: {error}") from None
        except (ValueError, LookupError):
            raise Problem("body", "the form cannot be read: a header of a part is malformed") from None
        if not self._ended:
            raise Problem("body", "the form is cut short: its closing boundary is missing")
        return self._parts

    def _begin(self) -> None:
        if len(self._parts) >= _MAX_PARTS:
            raise Problem("body", f"the form has more than {_MAX_PARTS} fields")
        self._parts.append(_Part())

    def _header(self) -> None:
        name = bytes(self._name).decode("latin-1").strip().lower()
        headers = self._parts[-1].headers
        if name in headers:
            raise Problem("body", "a part of the form has a header twice")
        headers[name] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _headers(self) -> None:
        part = self._parts[-1]
        disposition = part.headers.get("content-disposition", b"")
        # Bytes: the library would encode text as Latin-1, which most file names are not.
        _, options = parse_options_header(disposition)
        text = disposition.decode("utf-8", "replace")
        part.name = options.get(b"name", b"").decode("utf-8", "replace")
        if not part.name and (extended := _EXTENDED_NAME.search(text)):
            part.name = unquote(extended[1], errors="replace")
        if not part.name:
            raise Problem("body", "a part of the form has no name")
        part.is_file = re.search(r";\s*filename\*?\s*=", text, re.IGNORECASE) is not None
        for header in ("content-transfer-encoding", "content-encoding"):
            coding = part.headers.get(header, b"").decode("latin-1").strip().lower()
            if coding not in (*_ENCODINGS, "identity"):
                raise Problem("body", f"a part of the form has the {header} {_shown(coding)}; send it binary")

    def _data(self, data: bytes, start: int, stop: int) -> None:
        part = self._parts[-1]
        part.size += stop - start
        if part.name == IMAGE or part.size <= _MAX_FIELD:
            part.data.extend(data[start:stop])

    def _end(self) -> None:
        self._ended = True
