"""Label lines and label files of a YOLO pose folder, read as the folder's description says."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidloop.data.formats.classes import Classes
from lidloop.data.formats.folders import Folders, same_name
from lidloop.data.formats.points import raw_points
from lidloop.data.formats.records import Unusable
from lidloop.data.formats.spellings import as_uploaded, without_upload_prefix
from lidloop.data.formats.text import shown
from lidloop.landmarks import N_IBUG, N_POINTS

_HEAD = 5  # class cx cy w h
_WHOLE = re.compile(r"[0-9]{1,9}(\.0*)?")


@dataclass(frozen=True)
class Layout:
    """Layout of label lines.

    Attributes:
        classes: the classes, and which of them are faces.
        kpt_shape: points of a face, and values of a point, as ``data.yaml`` says; None where it does not.
    """

    classes: Classes
    kpt_shape: tuple[int, int] | None = None

    def points(self, line: str) -> NDArray[np.float64]:
        """The (51, 3) points of a line, as fractions of the picture's size.

        Without ``kpt_shape`` only lines with a visibility are read: 51 points of two values are as many
        fields as a polygon of 53 corners, and 68 of three as many as one of 104.

        Raises:
            Unusable: for another number of fields, a class that is no face, or what are no numbers.
        """
        fields = line.split()
        n, d = self._shape(fields)
        self._check_class(fields[0])
        rows = [fields[_HEAD + k * d : _HEAD + (k + 1) * d] for k in range(n)]
        xy = [row[:2] for row in rows]
        if d == 2:
            return raw_points(xy, negative_is_missing=True)
        return raw_points(xy, [row[2] for row in rows])

    def _shape(self, fields: Sequence[str]) -> tuple[int, int]:
        given = len(fields)
        if self.kpt_shape is not None:
            n, d = self.kpt_shape
            if given != _HEAD + n * d:
                raise Unusable(
                    "wrong-point-count", f"{given} fields; a face of kpt_shape [{n}, {d}] has {_HEAD + n * d}"
                )
            return n, d
        for n in (N_POINTS, N_IBUG):
            if given == _HEAD + 3 * n and (n == N_POINTS or _are_visibilities(fields[_HEAD + 2 :: 3])):
                return n, 3
            if given in (_HEAD + 2 * n, _HEAD + 3 * n):
                d = 2 if given == _HEAD + 2 * n else 3
                raise Unusable(
                    "wrong-point-count",
                    f"{given} fields are a polygon of {(given - 1) // 2} corners, or {n} points; if they are "
                    f"points, write kpt_shape: [{n}, {d}] into data.yaml",
                )
        wanted = ", ".join(str(_HEAD + 3 * n) for n in (N_POINTS, N_IBUG))
        raise Unusable("wrong-point-count", f"{given} fields; a face has {wanted}")

    def _check_class(self, field: str) -> None:
        if _WHOLE.fullmatch(field):
            self.classes.check(int(float(field)))
            return
        named = [key for key, name in self.classes.names.items() if name == field]
        if not named:
            raise Unusable("other-class", f"the class is {shown(field, 40)!r} instead of a number from 0 on")
        self.classes.check(named[0])


def _are_visibilities(values: Iterable[str]) -> bool:
    try:
        return all(float(value) in (0, 1, 2) for value in values)
    except ValueError:
        return False


def label_path(image: Path, folders: Folders) -> Path | None:
    """The file with a picture's labels: under ``labels`` for the last ``images`` of its path, or beside it.

    Its name may differ in case and Unicode form. None where there is none.
    """
    parts = list(image.parts)
    swapped = [k for k in range(len(parts) - 1) if parts[k].lower() == "images"]
    places = [image]
    if swapped:
        parts[swapped[-1]] = "labels"
        places.insert(0, Path(*parts))
    for place in places:
        found = folders.file(place.with_suffix(".txt")) or folders.file(place.with_name(place.name + ".txt"))
        if found is not None:
            return found
    return None


def pair_uploads(labels: Iterable[Path], images: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Pair label files with pictures whose names differ by what Label Studio does to uploads.

    ``labels/3f9a2b1c-my_photo.txt`` belongs to ``images/my photo.jpg`` if no other file could be meant.

    Args:
        labels: label files without a picture.
        images: pictures without a label file.
    """
    by_name: dict[tuple[str, str], tuple[list[Path], list[Path]]] = defaultdict(lambda: ([], []))
    for label in labels:
        by_name[_pictures_of(label.parent), without_upload_prefix(label.stem)][0].append(label)
    for image in images:
        for name in as_uploaded(image.stem):
            by_name[_pictures_of(image.parent), name][1].append(image)
    for own_labels, own_images in by_name.values():
        if len(own_labels) == len(own_images) == 1:
            yield own_labels[0], own_images[0]


def _pictures_of(folder: Path) -> str:
    """A folder of labels as the folder of its pictures, in lower case; any other folder as it is."""
    names = [same_name(part) for part in folder.parts]
    return "/".join("images" if name == "labels" else name for name in names)
