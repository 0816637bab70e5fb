"""The annotation tools that faces can be sent to and taken back from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from lidloop.review.exchange import Manifest, Returned
from lidloop.review.formats import coco, cvat, label_studio, labelme


class Tool(NamedTuple):
    """Functions that write for a tool, and read its exports."""

    write: Callable[[Manifest, Path], Path]
    read: Callable[[Path, Manifest], dict[str, list[Returned]]]


TOOLS: Final[dict[str, Tool]] = {
    "label-studio": Tool(label_studio.write, label_studio.read),
    "cvat": Tool(cvat.write, cvat.read),
    "labelme": Tool(labelme.write, labelme.read),
    "coco": Tool(coco.write, coco.read),
}
"""Tools by the name that the command line takes."""
