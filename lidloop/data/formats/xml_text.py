"""XML files decoded by what their bytes are, not by what their header says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Final

from lidloop.data.formats.text import decode

_DECLARATION: Final = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")


def parse(path: Path) -> ET.Element:
    """Parse an XML file and return its root.

    A file that is valid UTF-8 is read as UTF-8 even if it declares another encoding: dlib's imglab declares
    ISO-8859-1 whatever the names of the pictures are written in. Other bytes are read in the declared
    encoding, and as Windows-1252 if there is none or Python does not know it.

    Raises:
        ET.ParseError: for what is no XML.
        OSError: for a file that cannot be read.
    """
    data = path.read_bytes()
    # expat limits the growth of entities since 2.4.1, which every supported Python brings.
    return ET.fromstring(_decoded(data))  # noqa: S314


def _decoded(data: bytes) -> str:
    try:
        return decode(data)
    except UnicodeDecodeError:
        pass
    declared = _DECLARATION.search(data[:400])
    for encoding in (declared[1].decode() if declared else "", "cp1252"):
        try:
            return data.decode(encoding)
        except (LookupError, UnicodeDecodeError, ValueError):
            continue
    return data.decode("latin-1")
