"""Folders of iBUG ``.pts`` files, as of 300W, AFW, HELEN, LFPW and IBUG: one face a file, counted from 1.

Files come with the lines ``version``, ``n_points``, ``{`` and ``}``, or with bare lines ``x y``. The picture
has the same name (``x.pts`` or ``x.jpg.pts`` for ``x.jpg``) and stands beside the file, or in a folder beside
the one that holds the points (``annot/000001.pts`` and ``frames/000001.jpg``).

Source of the format: https://ibug.doc.ic.ac.uk/resources/300-W/
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidloop.data.formats.folders import Folders, is_picture, relative, same_name
from lidloop.data.formats.locate import unread, unread_format
from lidloop.data.formats.naming import given_split, source_name
from lidloop.data.formats.points import raw_points
from lidloop.data.formats.records import Picture, RawFace, Reading, ReadOptions, Reject, Unusable
from lidloop.data.formats.text import read_text, shown
from lidloop.images import FORMATS

_SUFFIX_ORDER = {suffix: k for k, suffix in enumerate(s for group in FORMATS.values() for s in group)}
_POINT_FOLDERS = {
    "annot", "annots", "annotation", "annotations", "pts", "points", "landmarks", "landmark", "lm", "label",
    "labels",
}  # fmt: skip
"""Names of folders that hold points whose pictures lie in a folder beside them."""


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
            raise Unusable("unparsable-file", f"expected a line 'x y', got {shown(' '.join(row), 60)!r}")
    if declared is not None and declared != str(len(rows)):
        raise Unusable(
            "wrong-point-count", f"n_points is {shown(declared, 20)} but {len(rows)} points follow"
        )
    points = raw_points(rows)
    points[points[:, 2] > 0, :2] -= 1.0
    return points


def read(root: Path, options: ReadOptions | None = None) -> Reading:
    """Read all ``.pts`` files under a folder and find their pictures. A file is one face of one picture."""
    options = options or ReadOptions()
    folders = Folders(options.inside)
    matcher = _Matcher(folders, root)
    reading = Reading()
    used: set[Path] = set()
    for folder, files in folders.walk(root):
        for name in files:
            if Path(name).suffix.lower() != ".pts":
                continue
            file = relative(folder / name, root)
            source = source_name(file, root)
            try:
                path, *rivals = matcher.pictures_of(folder / name)
            except Unusable as error:
                reading.rejects.append(Reject(file, error.reason, error.detail, source))
                continue
            used.update((path, *rivals))
            split = given_split(file, root)
            picture = Picture(path, relative(path, root), source, split, rivals=tuple(rivals))
            try:
                picture.faces.append(RawFace(parse(read_text(folder / name)), file))
            except Unusable as error:
                reading.reject(picture, file, error)
            except (OSError, UnicodeError) as error:
                reading.reject(picture, file, Unusable("unparsable-file", str(error)))
            reading.pictures.append(picture)
    for path in folders.pictures(root):
        if path not in used:
            reading.unannotated[source_name(relative(path, root), root)] += 1
    reading.rejects += folders.rejects(root)
    return reading


class _Matcher:
    """Finds the pictures that a ``.pts`` file may belong to."""

    def __init__(self, folders: Folders, root: Path) -> None:
        self.folders = folders
        self.root = root
        self._stems: dict[Path, dict[str, list[str]]] = {}

    def pictures_of(self, file: Path) -> list[Path]:
        """Pictures of a ``.pts`` file, the best first; the others have the same name and another ending.

        Raises:
            Unusable: where there is none, or several folders have one.
        """
        if found := self._in(file.parent, file):
            return found
        places = {folder: found for folder in self._beside(file) if (found := self._in(folder, file))}
        if len(places) == 1:
            return next(iter(places.values()))
        if places:
            names = ", ".join(shown(relative(folder, self.root), 60) for folder in list(places)[:3])
            raise Unusable(
                "ambiguous-image", f"several folders hold a picture {shown(file.stem, 60)}: {names}"
            )
        raise self._missing(file)

    def _in(self, folder: Path, file: Path) -> list[Path]:
        """Pictures in one folder: spelled exactly so, else in another case or Unicode form."""
        stem = file.stem
        names = self._by_stem(folder)
        for wanted in dict.fromkeys((stem, Path(stem).stem if is_picture(stem) else stem)):
            same = names.get(same_name(wanted), [])
            exact = [name for name in same if Path(name).stem == wanted]
            if is_picture(stem) and wanted != stem:  # x.jpg.pts is of x.jpg, not of x.png
                exact = [name for name in same if name == stem]
                same = [name for name in same if same_name(name) == same_name(stem)]
            if exact or len({Path(name).stem for name in same}) == 1:
                return [folder / name for name in exact or same]
        return []

    def _by_stem(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._stems:
            names: dict[str, list[str]] = defaultdict(list)
            pictures = [
                n for n, is_dir in self.folders.listing(folder).items() if not is_dir and is_picture(n)
            ]
            for name in sorted(pictures, key=lambda n: _SUFFIX_ORDER.get(Path(n).suffix.lower(), 99)):
                names[same_name(Path(name).stem)].append(name)
            self._stems[folder] = names
        return self._stems[folder]

    def _beside(self, file: Path) -> list[Path]:
        """Folders that may hold the picture of a file in a folder of points: the one above, and its others.

        Folders between stay: ``annotations/a/1.pts`` belongs to ``images/a/1.jpg``.
        """
        parts = (self.root.name, *file.parent.relative_to(self.root).parts)
        tops = [k for k, part in enumerate(parts) if part.lower() in _POINT_FOLDERS]
        if not tops:
            return []
        above, rest = self.root.parent.joinpath(*parts[: tops[-1]]), parts[tops[-1] + 1 :]
        others = [name for name, is_dir in self.folders.listing(above).items() if is_dir]
        return [above.joinpath(*rest), *(above.joinpath(name, *rest) for name in others)]

    def _missing(self, file: Path) -> Unusable:
        """Say what is there instead of the picture, and what to do."""
        stems = {same_name(file.stem), same_name(Path(file.stem).stem)}
        for folder in (file.parent, *self._beside(file)):
            for name, is_dir in self.folders.listing(folder).items():
                if not is_dir and unread_format(name) and same_name(Path(name).stem) in stems:
                    return unread(name)
        for folder in dict.fromkeys((file.parent, file.parent.parent)):
            for name, is_dir in self.folders.listing(folder).items():
                if not is_dir and unread_format(name) == "video":
                    return Unusable(
                        "missing-image",
                        f"no picture {file.stem}.jpg (or another ending); its frames are still in "
                        f"{relative(folder / name, self.root)}: extract them first, as in ffmpeg -i {name} "
                        f"-start_number 1 frames/%06d.png",
                    )
        return Unusable("missing-image", f"no picture {file.stem}.jpg (or another ending) beside it")
