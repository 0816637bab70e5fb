"""Faces on their way to an annotation tool and back: the manifest of an export, and decisions from an import.

The manifest stays on this machine beside the exported file. It holds what was sent out, so that what comes
back is compared with it, and so that no name or path of the file that comes back has to be trusted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lidloop.autolabel.candidates import finish_points
from lidloop.data.dataset import Dataset
from lidloop.data.picture_index import ImageRecord
from lidloop.errors import DatasetError, doing, one_line, printable
from lidloop.labels import Floats
from lidloop.landmarks import N_POINTS
from lidloop.review.decisions import MAX_BYTES, Decision, DecisionFile, Point, first_problem
from lidloop.review.faces import Faces
from lidloop.review.opinions import distance
from lidloop.review.queue import Entry

MANIFEST: Final = "manifest.json"
SAME_PX: Final = 0.01
"""Points that come back no further away than this were not moved."""
SAME_SCORE: Final = 1e-5
"""Difference up to which a score is taken for the one that was sent, as tools round."""
SAME_PLACE: Final = 0.5
"""Mean distance of the points, over the size of the box, up to which a face without its id is taken for one
that was sent out."""

_STRICT: Final = ConfigDict(extra="forbid", frozen=True, strict=True)


class SentFace(BaseModel):
    """A face that was sent out.

    Attributes:
        id: of the face.
        kind: ``human``, ``grown`` or ``dropped``.
        score: of the model, 1 for a human label.
        origin: iteration that found it, -1 for a human label.
        points: 51, in pixels of the upright picture.
    """

    model_config = _STRICT

    id: str
    kind: str
    score: float
    origin: int
    points: Annotated[list[Point], Field(min_length=N_POINTS, max_length=N_POINTS)]

    def array(self) -> Floats:
        """Points as an array (51, 3)."""
        return np.array(self.points, dtype=np.float64)


class SentPicture(BaseModel):
    """A picture that was sent out, its place as the tool sees it, and its faces."""

    model_config = _STRICT

    id: str
    file: str
    place: str
    width: int
    height: int
    sha256: str
    faces: list[SentFace]


class Manifest(BaseModel):
    """Pictures and faces that an export sent out."""

    model_config = _STRICT

    format: Literal[1] = 1
    kind: Literal["lidloop-export"] = "lidloop-export"
    to: str
    dataset: str
    labels: int
    pictures: list[SentPicture]

    def by_file(self) -> dict[str, SentPicture]:
        """Pictures by the last part of their name, which is unique in a dataset, and of their place."""
        places = {picture.place.rpartition("/")[2]: picture for picture in self.pictures}
        return places | {picture.file: picture for picture in self.pictures}


@dataclass(frozen=True, eq=False)
class Returned:
    """A face that came back.

    Attributes:
        face: its id, empty where the tool lost it.
        points: (51, 3) in pixels.
        kind: as ``SentFace`` has it; empty where the tool lost it.
        score, origin: as ``SentFace`` has them; None where the tool lost them.
    """

    face: str
    points: Floats
    kind: str = ""
    score: float | None = None
    origin: int | None = None


def make_manifest(
    dataset: Dataset, version: int, faces: Faces, entries: Iterable[Entry], *, to: str,
    place: Callable[[ImageRecord], str] | None = None,
) -> Manifest:  # fmt: skip
    """Choose the pictures of a queue for an export, with all their labels and the dropped faces of the queue.

    Pictures come in the order of their first face. All labels of a picture are sent, so that nobody adds one
    that is there. A face without points (a dropped one whose predictions are gone) is left out.

    Args:
        dataset: the pictures.
        version: number of the label version.
        faces: its faces.
        entries: the part of the queue to send.
        to: name of the format.
        place: gives a picture's place as the tool sees it (``lidloop.review.places``); by default its path
            on this machine.
    """
    rows: dict[str, list[int]] = {}
    for entry in entries:
        rows.setdefault(entry.image, []).append(entry.row)
    labels: dict[str, list[int]] = {}
    for row in np.flatnonzero(faces.is_label).tolist():
        labels.setdefault(faces.all.images[faces.all.image[row]], []).append(row)
    chosen: dict[str, list[SentFace]] = {}
    kinds = faces.kinds
    for image, mine in rows.items():
        record = dataset.by_id[image]
        size = np.array([[record.width, record.height]], dtype=np.float64)
        dropped = [row for row in mine if faces.line[row] < 0]
        for row in (*labels.get(image, ()), *dropped):
            points = faces.all.points[row]
            if faces.line[row] < 0:
                points = finish_points(points[None], size)[0]
            if points[:, 2].any():
                face = SentFace(
                    id=faces.ids[row], kind=str(kinds[row]), score=float(faces.all.score[row]),
                    origin=int(faces.all.origin[row]), points=as_points(points),
                )  # fmt: skip
                chosen.setdefault(image, []).append(face)
    pictures = []
    for image, group in chosen.items():
        record = dataset.by_id[image]
        name = record.file.rpartition("/")[2]
        where = place(record) if place else str(dataset.path(image))
        pictures.append(
            SentPicture(
                id=image, file=name, place=where, width=record.width, height=record.height,
                sha256=record.sha256, faces=group,
            )
        )  # fmt: skip
    return Manifest(to=to, dataset=dataset.digest, labels=version, pictures=pictures)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an export's folder.

    Raises:
        DatasetError: where there is none, or it is damaged.
    """
    file = folder / MANIFEST
    with doing(f"read the export {folder}", DatasetError):
        data = file.read_bytes()
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise DatasetError(one_line(f"{file} is no manifest of an export: {first_problem(error)}")) from None


def read_limited(file: Path) -> bytes:
    """Content of a file from a tool.

    Raises:
        DatasetError: for a file that cannot be read, or of more than 128 MB.
    """
    with doing(f"read {file}", DatasetError):
        check_size(file, MAX_BYTES)
        return file.read_bytes()


def check_size(file: Path, most: int) -> None:
    """Check the size of a file from a tool.

    Raises:
        DatasetError: for a file of more than ``most`` bytes.
        OSError: where there is none.
    """
    if file.stat().st_size > most:
        raise DatasetError(f"{file} is larger than {most:,} bytes; import it in parts")


def as_points(points: Floats) -> list[Point]:
    """Points (51, 3) as tuples; what is not visible is 0, 0, 0."""
    return [
        (float(x), float(y), 2 if v > 1 else 1) if v > 0 else (0.0, 0.0, 0) for x, y, v in points.tolist()
    ]


def decisions_of(
    manifest: Manifest, returned: Mapping[str, Sequence[Returned]], *, tool: str, at: datetime
) -> DecisionFile:
    """Compare what came back with what was sent out.

    A face at its place is confirmed, one that was moved is corrected, one that is missing is declined, and
    one that was not sent out is added. Pictures that are not in ``returned`` were not looked at.

    Args:
        manifest: of the export.
        returned: faces that came back, by id of their picture.
        tool: name of the tool.
        at: time of the import, as tools differ in what they say of theirs.

    Raises:
        DatasetError: for pictures that were not sent out, for a face that came back twice, and for one whose
            kind, score or iteration is not what was sent: its file belongs to another export.
    """
    pictures = {picture.id: picture for picture in manifest.pictures}
    decisions: list[Decision] = []
    content = hashlib.sha256()
    for image in sorted(returned):
        picture = pictures.get(image)
        if picture is None:
            raise DatasetError(f"picture {printable(image)} came back but was not sent out")
        found = _matched(picture, returned[image])
        for face in picture.faces:
            points = found.pop(face.id, None)
            if points is None:
                decisions.append(Decision(face=face.id, image=image, verdict="declined", at=at))
            elif _moved(face.array(), points):
                given = as_points(points)
                decisions.append(
                    Decision(face=face.id, image=image, verdict="corrected", points=given, at=at)
                )
            else:
                decisions.append(Decision(face=face.id, image=image, verdict="confirmed", at=at))
        for points in found.values():
            decisions.append(Decision(image=image, verdict="added", points=as_points(points), at=at))
    for decision in decisions:
        content.update(decision.model_dump_json(exclude={"at"}).encode())
    return DecisionFile(
        dataset=manifest.dataset, labels=manifest.labels, session=content.hexdigest()[:16], tool=tool,
        pictures={image: pictures[image].sha256 for image in returned}, decisions=decisions,
    )  # fmt: skip


def _matched(picture: SentPicture, returned: Sequence[Returned]) -> dict[str, Floats]:
    """Points by id; faces that lost theirs take that of the nearest face sent out, else one of their own."""
    known = {face.id: face for face in picture.faces}
    sent = {name: face.array() for name, face in known.items()}
    found: dict[str, Floats] = {}
    lost: list[Floats] = []
    for face in returned:
        if face.face not in sent:
            lost.append(face.points)
        elif face.face in found:
            raise DatasetError(f"face {printable(face.face)} came back twice")
        else:
            _check_sent(known[face.face], face)
            found[face.face] = face.points
    free = {name: points for name, points in sent.items() if name not in found}
    pairs = sorted(
        (distance(points, other), k, name)
        for k, other in enumerate(lost)
        for name, points in free.items()
    )  # fmt: skip
    taken: set[int] = set()
    for far, k, name in pairs:
        if far <= SAME_PLACE and k not in taken and name not in found:
            taken.add(k)
            found[name] = lost[k]
    return found | {f"added {k}": points for k, points in enumerate(lost) if k not in taken}


def _check_sent(sent: SentFace, face: Returned) -> None:
    """Compare what a tool cannot change with the manifest.

    Raises:
        DatasetError: for another kind, score or iteration.
    """
    pairs: tuple[tuple[str, str | float, str | float | None], ...] = (
        ("kind", sent.kind, face.kind or None), ("iteration", sent.origin, face.origin),
        ("score", sent.score, face.score),
    )  # fmt: skip
    for name, was, now in pairs:
        if now is not None and now != was and (name != "score" or abs(sent.score - float(now)) > SAME_SCORE):
            raise DatasetError(
                f"face {printable(sent.id)} came back with the {name} {printable(str(now))[:60]}, but "
                f"{was} was sent: the file belongs to another export"
            )


def _moved(before: Floats, after: Floats) -> bool:
    if (before[:, 2] != after[:, 2]).any():
        return True
    seen = before[:, 2] > 0
    return bool(np.abs(before[seen, :2] - after[seen, :2]).max(initial=0) > SAME_PX + 1e-9)
