"""YOLO pose lines: ``class cx cy w h (x y v)×51``, normalised by the picture's size; and folders of them.

Source of the format: https://docs.ultralytics.com/datasets/pose/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.data.formats.classes import choose
from lidloop.data.formats.data_yaml import Description, describe, listed_pictures
from lidloop.data.formats.folders import Folders, relative, same_name
from lidloop.data.formats.locate import unread, unread_format
from lidloop.data.formats.naming import given_split, source_name, split_of_folder
from lidloop.data.formats.records import Picture, RawFace, Reading, ReadOptions, Reject, Unusable
from lidloop.data.formats.text import read_text, shown
from lidloop.data.formats.yolo_labels import Layout, label_path, pair_uploads
from lidloop.errors import SourceError
from lidloop.labels import Face, Floats
from lidloop.landmarks import N_POINTS

_FIELDS = 5 + 3 * N_POINTS
_WIDTH: Final = len("0.123456 ")
_CLEAR: Final = 0.499  # of a millionth: what rounds to it without doubt
_NO_LABELS = {"classes", "train", "val", "valid", "test", "notes", "readme"}


def format_lines(faces: Sequence[Face], width: int, height: int) -> str:
    """Format faces as label lines, each ended by a newline; six decimals, at most 0.005 px off at 10,000 px.

    A point with visibility 0 is written as 0 0 0.
    """
    lines = []
    for face in faces:
        x1, y1, x2, y2 = face.box
        head = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        points = " ".join(
            f"{x / width:.6f} {y / height:.6f} {int(v)}" if v > 0 else "0.000000 0.000000 0"
            for x, y, v in face.points.tolist()
        )
        lines.append("0 " + " ".join(f"{value:.6f}" for value in head) + " " + points + "\n")
    return "".join(lines)


def lines_of(boxes: Floats, points: Floats, sizes: Floats) -> list[bytes]:
    """Format many faces as label lines, one each: the bytes of ``format_lines``, many times as fast.

    Args:
        boxes: (n, 4), points: (n, 51, 3), both in pixels.
        sizes: (n, 2) width and height of each face's picture in pixels.
    """
    n = len(boxes)
    if not n:
        return []
    centre, side = (boxes[:, :2] + boxes[:, 2:]) / 2 / sizes, (boxes[:, 2:] - boxes[:, :2]) / sizes
    seen = points[..., 2] > 0
    xy = np.where(seen[..., None], points[..., :2] / sizes[:, None], 0.0)
    values = np.concatenate([centre, side, xy.reshape(n, -1)], axis=1)
    millionths = np.rint(values * 1e6)
    # Halfway between two decimals, and for other signs and lengths, Python's own formatting decides.
    plain = (np.abs(values * 1e6 - millionths) < _CLEAR) & ~np.signbit(values) & (millionths < 1e7)
    visible = np.where(seen, points[..., 2], 0.0)
    usual = plain.all(axis=1) & (visible < 10).all(axis=1)
    written = _digits(np.where(plain, millionths, 0).astype(np.int64))
    rows = np.full((n, 2 + 4 * _WIDTH + N_POINTS * (2 * _WIDTH + 2)), ord(" "), dtype=np.uint8)
    rows[:, 0], rows[:, -1] = ord("0"), ord("\n")
    rows[:, 2 : 2 + 4 * _WIDTH] = written[:, :4].reshape(n, -1)
    each = rows[:, 2 + 4 * _WIDTH :].reshape(n, N_POINTS, -1)
    each[..., : 2 * _WIDTH] = written[:, 4:].reshape(n, N_POINTS, -1)
    each[..., 2 * _WIDTH] = np.where(visible < 10, visible, 0).astype(np.uint8) + ord("0")
    lines = [row.tobytes() for row in rows]
    for k in np.flatnonzero(~usual).tolist():
        face = Face(boxes[k], points[k])
        lines[k] = format_lines([face], *sizes[k].tolist()).encode()
    return lines


def _digits(millionths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Write numbers of millionths, below ten, as ``0.123456`` and a blank: (…) to (…, 9) characters."""
    text = np.full((*millionths.shape, _WIDTH), ord(" "), dtype=np.uint8)
    text[..., 1] = ord(".")
    rest = millionths
    for place in (7, 6, 5, 4, 3, 2, 0):
        rest, digit = np.divmod(rest, 10)
        text[..., place] = digit + ord("0")
    return text


def parse(text: str, width: int, height: int, *, where: str) -> list[Face]:
    """Read label lines of a picture of that size in pixels. The faces carry the human origin.

    Raises:
        SourceError: names ``where`` and the line for a wrong number of fields or what is not a number.
    """
    faces = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != _FIELDS:
            raise SourceError(f"{where}, line {number}: {len(fields)} fields instead of {_FIELDS}")
        try:
            values = np.array(fields, dtype=np.float64)
        except ValueError:
            raise SourceError(f"{where}, line {number}: not a number") from None
        if not np.isfinite(values).all():
            raise SourceError(f"{where}, line {number}: not a finite number")
        _, cx, cy, w, h = values[:5]
        box = np.array(
            [(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height]
        )
        points = values[5:].reshape(N_POINTS, 3) * (width, height, 1)
        faces.append(Face(box, points))
    return faces


def read(root: Path, options: ReadOptions | None = None) -> Reading:
    """Read a YOLO-pose folder with 51 or 68 points a face, with or without their visibility.

    The splits are those of ``data.yaml`` where there is one, else of folder names (``images/train``,
    ``train/images``). A picture without a label file, or with an empty one, has no faces. The boxes of the
    files are not used: the box of a face is the bounds of its points.

    Raises:
        SourceError: for a ``data.yaml`` that cannot be read, names folders that are not there, or describes
            other than 51 or 68 points.
    """
    options = options or ReadOptions()
    folders = Folders(options.inside)
    reading = Reading()
    described = describe(root, folders)
    layout = Layout(choose(described.names, options.classes), described.kpt_shape)
    if described.entries:
        listed = listed_pictures(described, root, folders, reading)
    else:
        listed = ((relative(path, root), path, "") for path in folders.pictures(root))
    pictures: dict[Path | str, Picture] = {}
    for name, place, key in listed:
        if isinstance(place, Path):
            pictures.setdefault(place, _picture(relative(place, root), root, key, place))
        elif name not in pictures:
            pictures[name] = _picture(shown(name), root, key, root / "missing")
            pictures[name].absent = place
    labels = {p.path: label for p in pictures.values() if (label := label_path(p.path, folders)) is not None}
    orphans = [path for path in _texts(root, folders) if path not in set(labels.values())]
    unlabelled = [p.path for p in pictures.values() if p.path not in labels and p.absent is None]
    for label, image in list(pair_uploads(orphans, unlabelled)):
        labels[image] = label
        orphans.remove(label)
    owners: dict[Path, list[Path]] = defaultdict(list)
    for image, label in labels.items():
        owners[label].append(image)
    for picture in pictures.values():
        own = labels.get(picture.path)
        if own is not None:
            picture.rivals = tuple(path for path in owners[own] if path != picture.path)
            _read_labels(own, root, picture, layout, reading)
        reading.pictures.append(picture)
    for path in orphans:
        problem = _orphan(path, folders, described)
        if problem is not None:
            file = relative(path, root)
            reading.rejects.append(Reject(file, problem.reason, problem.detail, source_name(file, root)))
    reading.rejects += folders.rejects(root)
    return reading


def _picture(file: str, root: Path, key: str, path: Path) -> Picture:
    split = split_of_folder(key) if key else given_split(file, root)
    return Picture(path, file, source_name(file, root), split, normalised=True)


def _texts(root: Path, folders: Folders) -> list[Path]:
    """All text files that could hold labels."""
    return [
        folder / name
        for folder, files in folders.walk(root)
        for name in files
        if Path(name).suffix.lower() == ".txt" and Path(name).stem.lower() not in _NO_LABELS
    ]


def _orphan(label: Path, folders: Folders, described: Description) -> Unusable | None:
    """Why labels have no picture; None for a text that need not be labels."""
    parts = [same_name(part) for part in label.parent.parts]
    in_labels = "labels" in parts[-3:]
    for folder in (
        label.parent,
        Path(*("images" if same_name(p) == "labels" else p for p in label.parent.parts)),
    ):
        for name, is_dir in folders.listing(folder).items():
            same = same_name(Path(name).stem) == same_name(label.stem)
            if same and not is_dir and unread_format(name):
                return unread(name)
    if not in_labels:
        return None
    detail = "no picture under 'images' belongs to these labels"
    if described.entries and described.file:
        detail += f", or {described.file.name} does not name it"
    return Unusable("missing-image", detail)


def _read_labels(label: Path, root: Path, picture: Picture, layout: Layout, reading: Reading) -> None:
    file = relative(label, root)
    try:
        lines = read_text(label).splitlines()
    except (OSError, UnicodeError) as error:
        reading.reject(picture, file, Unusable("unparsable-file", str(error)))
        return
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            picture.faces.append(RawFace(layout.points(line), f"{file}:{number}"))
        except Unusable as error:
            reading.reject(picture, f"{file}:{number}", error)
