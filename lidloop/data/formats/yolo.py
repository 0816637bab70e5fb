"""YOLO pose lines: ``class cx cy w h (x y v)×51``, normalised by the picture's size; and folders of them.

Source of the format: https://docs.ultralytics.com/datasets/pose/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
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
    split_of_folder,
    walk,
)
from lidloop.errors import SourceError
from lidloop.images import SUFFIXES
from lidloop.labels import Face
from lidloop.landmarks import N_IBUG, N_POINTS

_FIELDS = 5 + 3 * N_POINTS


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


_LAYOUTS: dict[int, tuple[int, int]] = {
    5 + n * d: (n, d) for n in (N_POINTS, N_IBUG) for d in (2, 3)
}  # number of fields: points, values a point


def _raw_points(line: str) -> NDArray[np.float64]:
    fields = line.split()
    if len(fields) not in _LAYOUTS:
        wanted = ", ".join(map(str, sorted(_LAYOUTS)))
        raise Unusable("wrong-point-count", f"{len(fields)} fields; a face has {wanted}")
    n, d = _LAYOUTS[len(fields)]
    rows = [fields[5 + k * d : 5 + (k + 1) * d] for k in range(n)]
    return raw_points([row[:2] for row in rows], [row[2] for row in rows] if d == 3 else None)


def _read_yaml(root: Path) -> tuple[Path, dict[str, Any]] | None:
    for name in ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml"):
        file = root / name
        if not file.is_file():
            continue
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise SourceError(f"yolo:{root}: cannot read {name}: {error}") from error
        if not isinstance(content, dict):
            raise SourceError(f"yolo:{root}: {name} holds no keys such as 'train' and 'val'")
        if any(content.get(key) for key in ("train", "val", "test")):
            return file, content
    return None


def _from_yaml(file: Path, content: dict[str, Any]) -> Iterator[tuple[Path, str | None]]:
    """The pictures that a data.yaml names. A path in it that is not there is looked for beside it."""
    bases = [file.parent / str(content.get("path") or "."), file.parent]
    for key in ("train", "val", "test"):
        value = content.get(key)
        entries = value if isinstance(value, list) else [value] if value else []
        for entry in map(str, entries):
            tries = [*(base / entry for base in bases), file.parent / entry.lstrip("./")]
            place = next((p for p in tries if p.exists()), None)
            if place is None:
                raise SourceError(f"yolo:{file.parent}: {file.name} names {key}: {entry}, which is not there")
            if place.is_file():
                for line in place.read_text(encoding="utf-8-sig").splitlines():
                    if line.strip():
                        listed = Path(line.strip())
                        beside = place.parent / listed
                        yield (beside if beside.exists() or listed.is_absolute() else bases[0] / listed), key
            else:
                yield from ((path, key) for path in _pictures(place))


def _pictures(folder: Path) -> Iterator[Path]:
    for place, files in walk(folder):
        yield from (place / name for name in files if Path(name).suffix.lower() in SUFFIXES)


def label_path(image: Path) -> Path:
    """Where a picture's labels are: beside it, or under ``labels`` for the last ``images`` of its path."""
    beside = image.with_suffix(".txt")
    if beside.exists():
        return beside
    parts = list(image.parts)
    for k in range(len(parts) - 2, -1, -1):
        if parts[k] == "images":
            parts[k] = "labels"
            return Path(*parts).with_suffix(".txt")
    return beside


def read(root: Path) -> Reading:
    """Read a YOLO-pose folder with 51 or 68 points a face, with or without their visibility.

    The splits are those of ``data.yaml`` where there is one, else of folder names (``images/train``,
    ``train/images``). A picture without a label file, or with an empty one, has no faces. The boxes of the
    files are not used: the box of a face is the bounds of its points.

    Raises:
        SourceError: for a ``data.yaml`` that cannot be read or names folders that are not there.
    """
    reading = Reading()
    described = _read_yaml(root)
    listed: dict[Path, str | None] = {}
    for path, key in _from_yaml(*described) if described else ((p, None) for p in _pictures(root)):
        listed.setdefault(path, key)
    labels: set[Path] = set()
    for path, key in listed.items():
        file = relative(path, root)
        source = source_name(file, root)
        picture = Picture(path, file, source, _split(file, root, key), normalised=True)
        label = label_path(path)
        labels.add(label)
        _read_labels(label, root, picture, reading)
        reading.pictures.append(picture)
    for folder, files in walk(root):
        if "labels" not in folder.relative_to(root).parts:
            continue
        for name in files:
            path = folder / name
            if path.suffix == ".txt" and path not in labels and name not in ("classes.txt", "train.txt"):
                file = relative(path, root)
                detail = "no picture under 'images' belongs to these labels"
                if described:
                    detail += f", or {described[0].name} does not name it"
                reading.rejects.append(Reject(file, "missing-image", detail, source_name(file, root)))
    return reading


def _split(file: str, root: Path, key: str | None) -> str | None:
    return split_of_folder(key) if key else given_split(file, root)


def _read_labels(label: Path, root: Path, picture: Picture, reading: Reading) -> None:
    file = relative(label, root)
    try:
        lines = label.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        reading.rejects.append(Reject(file, "unparsable-file", str(error), picture.source))
        picture.rejected += 1
        return
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            picture.faces.append(RawFace(_raw_points(line), f"{file}:{number}"))
        except Unusable as error:
            reject = Reject(f"{file}:{number}", error.reason, error.detail, picture.source)
            reading.rejects.append(reject)
            picture.rejected += 1
