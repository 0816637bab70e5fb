"""Folders of iBUG ``.pts`` files, as of 300W, AFW, HELEN, LFPW and IBUG: one face a file, counted from 1.

Files come with the lines ``version``, ``n_points``, ``{`` and ``}``, or with bare lines ``x y``. The picture
has the same name and stands beside the file.

Source of the format: https://ibug.doc.ic.ac.uk/resources/300-W/
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidloop.data.formats.records import (
    Picture,
    RawFace,
    Reading,
    Reject,
    Unusable,
    given_split,
    raw_points,
    relative,
    source_name,
    walk,
)
from lidloop.images import FORMATS, SUFFIXES

_SUFFIX_ORDER = {suffix: k for k, suffix in enumerate(s for group in FORMATS.values() for s in group)}


def parse(text: str) -> NDArray[np.float64]:
    """Read the content of a ``.pts`` file: (51, 3) points in 0-based pixels, all with visibility 2.

    Raises:
        Unusable: for what is not such a file, another number of points than 51 or 68, or no numbers.
    """
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("#", "//"))]
    declared: str | None = None
    while lines and ":" in lines[0]:
        key, _, value = lines.pop(0).partition(":")
        if key.strip().lower() == "n_points":
            declared = value.strip()
    if lines and lines[0] == "{":
        if lines[-1] != "}":
            raise Unusable("unparsable-file", "the closing } is missing: the file was cut short")
        lines = lines[1:-1]
    rows = [line.replace(",", " ").split() for line in lines]
    for row in rows:
        if len(row) != 2:
            raise Unusable("unparsable-file", f"expected a line 'x y', got {' '.join(row)[:60]!r}")
    if declared is not None and declared != str(len(rows)):
        raise Unusable("wrong-point-count", f"n_points is {declared[:20]} but {len(rows)} points follow")
    points = raw_points(rows)
    points[:, :2] -= 1.0
    return points


def read(root: Path) -> Reading:
    """Read all ``.pts`` files under a folder and find their pictures. A file is one face of one picture."""
    reading = Reading()
    for folder, files in walk(root):
        pictures: dict[str, str] = {}
        for name in sorted(files, key=lambda n: _SUFFIX_ORDER.get(Path(n).suffix.lower(), 99)):
            if Path(name).suffix.lower() in SUFFIXES:
                pictures.setdefault(Path(name).stem, name)
        used: set[str] = set()
        for name in files:
            if Path(name).suffix.lower() != ".pts":
                continue
            file = relative(folder / name, root)
            source = source_name(file, root)
            image = pictures.get(Path(name).stem)
            if image is None:
                detail = f"no picture {Path(name).stem}.jpg (or another ending) beside it"
                reading.rejects.append(Reject(file, "missing-image", detail, source))
                continue
            used.add(image)
            path = folder / image
            picture = Picture(path, relative(path, root), source, given_split(file, root))
            try:
                text = (folder / name).read_text(encoding="utf-8-sig")
                picture.faces.append(RawFace(parse(text), file))
            except Unusable as error:
                reading.rejects.append(Reject(file, error.reason, error.detail, source))
                picture.rejected = 1
            except (OSError, UnicodeDecodeError) as error:
                reading.rejects.append(Reject(file, "unparsable-file", str(error), source))
                picture.rejected = 1
            reading.pictures.append(picture)
        for image in set(pictures.values()) - used:
            reading.unannotated[source_name(relative(folder / image, root), root)] += 1
    return reading
