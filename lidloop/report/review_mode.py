"""Review mode of the report: faces of the review queue as JPEG crops with their landmarks, for one page.

The page (``templates/review.js``) shows one face at a time, keeps the decisions in the browser and saves them
as ``decisions.json``, which ``lidloop review import`` reads. It loads nothing and sends nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, NamedTuple

import cv2
import numpy as np

from lidloop import drawing
from lidloop.autolabel.candidates import finish_points
from lidloop.data.dataset import Dataset
from lidloop.errors import LidloopError
from lidloop.labels import Face, Floats
from lidloop.landmarks import GROUPS
from lidloop.report.pictures import Loader
from lidloop.review import decisions
from lidloop.review.faces import Faces
from lidloop.review.page_limits import FACE_BYTES, MAX_FACES, PAGE_BYTES
from lidloop.review.queue import Entry

SIDE: Final = 720
"""Pixels of a crop's side; smaller for a face that has fewer in its picture."""
SMALLEST: Final = 160
MARGIN: Final = 0.6
"""Part of the picture that is shown around a box, as a share of the box's longer side."""
UNIT: Final = 1000
"""Length of a crop's side in the coordinates of the page, whatever the pixels of its JPEG are."""
TOOL: Final = "lidloop report"

_QUALITIES: Final = (85, 75, 65, 55)
_SHRINK: Final = 0.8


class Verdict(NamedTuple):
    """A choice of the reviewer.

    Attributes:
        verdict: as in ``decisions.json``.
        key: letter on the keyboard.
        name: text of the button.
        note: text that goes into the decision's ``note``, and tells verdicts apart.
        effect: result of the choice, for people.
    """

    verdict: decisions.Verdict
    key: str
    name: str
    note: str
    effect: str


VERDICTS: Final = (
    Verdict("confirmed", "r", "Right", "", "becomes a human label as it is"),
    Verdict("declined", "w", "Wrong: no face", "", "no label stays here, and none is grown here again"),
    Verdict(
        "unsure", "p", "Wrong points", "the points are wrong",
        "stays as it is; correct it in an annotation tool",
    ),
    Verdict("unsure", "u", "Unsure", "", "stays as it is"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Shown:
    """A face of the page.

    Attributes:
        entry: of the queue.
        sha256: of its picture.
        score: of the model, 1 for a human label.
        origin: label version that it was found from, -1 for a human label.
        points: (51, 3) in units of the crop (``UNIT``).
        box: (4,) likewise.
        others: (n, 4) boxes of the other labels near it, likewise.
        jpeg: the crop.
    """

    entry: Entry
    sha256: str
    score: float
    origin: int
    points: Floats
    box: Floats
    others: Floats
    jpeg: bytes


@dataclass(frozen=True, eq=False)
class Review:
    """Content of the review mode.

    Attributes:
        dataset: digest of the dataset.
        labels: number of the label version.
        faces: those of the page, in the order of the queue.
        queue: number of faces in the whole queue.
        left_out: number of faces at the front of the queue that cannot be shown or decided on: dropped ones
            whose predictions are gone, and those of pictures that cannot be read.
    """

    dataset: str
    labels: int
    faces: Sequence[Shown]
    queue: int
    left_out: int = 0


def make_review(
    dataset: Dataset, version: int, faces: Faces, queue: Sequence[Entry], load: Loader, *, limit: int
) -> Review:
    """Cut the faces at the front of a queue out of their pictures.

    Args:
        dataset: the pictures.
        version: number of the label version.
        faces: its faces, the dropped ones with points where these are known.
        queue: result of ``lidloop.review.queue.make_queue``.
        load: reader of pictures by id.
        limit: largest number of faces, at most ``MAX_FACES``.

    Raises:
        ValueError: for another limit.
    """
    if not 0 < limit <= MAX_FACES:
        raise ValueError(f"{limit} faces; a page has 1 to {MAX_FACES:,}")
    front = queue[:limit]
    size = np.array([[dataset.by_id[e.image].width, dataset.by_id[e.image].height] for e in front])
    points = faces.all.points[[entry.row for entry in front]]
    dropped = np.array([entry.line < 0 for entry in front], dtype=bool)
    if dropped.any():
        points[dropped] = finish_points(points[dropped], size[dropped].astype(np.float64))
    boxes = faces.all.boxes[[entry.row for entry in front]]
    usable = points[:, :, 2].any(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    each = min(FACE_BYTES, PAGE_BYTES // max(1, int(usable.sum())))
    labels: dict[int, list[int]] = {}
    for row in np.flatnonzero(faces.is_label).tolist():
        labels.setdefault(int(faces.all.image[row]), []).append(row)
    shown = []
    for k in np.flatnonzero(usable).tolist():
        entry = front[k]
        row = entry.row
        picture = load(entry.image)
        if picture is None:
            continue
        others = [r for r in labels.get(int(faces.all.image[row]), ()) if r != row]
        face = Face(boxes[k], points[k], int(faces.all.origin[row]), float(faces.all.score[row]))
        near = faces.all.boxes[others].reshape(-1, 4)
        shown.append(_cut(entry, dataset.by_id[entry.image].sha256, picture, face, near, limit=each))
    return Review(dataset.digest, version, shown, len(queue), len(front) - len(shown))


def _cut(
    entry: Entry, sha256: str, picture: drawing.Image, face: Face, others: Floats, *, limit: int
) -> Shown:
    longer = float((face.box[2:] - face.box[:2]).max())
    size = int(np.clip(round(longer * (1 + 2 * MARGIN)), SMALLEST, SIDE))
    crop = drawing.crop_box(picture, face.box, size=size, margin=MARGIN)
    unit = UNIT / size
    moved = crop.face(face)
    boxes = crop.move(others.reshape(-1, 2)).reshape(-1, 4)
    near = (boxes[:, 2:] > 0).all(axis=1) & (boxes[:, :2] < size).all(axis=1)
    points = moved.points * [unit, unit, 1]
    return Shown(
        entry, sha256, face.score, face.origin, points, moved.box * unit, boxes[near] * unit,
        encode_within(crop.image, limit),
    )  # fmt: skip


def encode_within(image: drawing.Image, limit: int) -> bytes:
    """Encode an RGB array as JPEG of at most ``limit`` bytes: first by quality, then by size.

    Raises:
        ValueError: if the limit is too small for any JPEG.
    """
    while min(image.shape[:2]) >= 1:
        for quality in _QUALITIES:
            done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
            if not done:
                raise LidloopError("OpenCV could not encode a JPEG")
            if len(data) <= limit:
                return bytes(data.tobytes())
        height, width = (int(n * _SHRINK) for n in image.shape[:2])
        if not height or not width:
            break
        smaller: Any = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        image = smaller
    raise ValueError(f"no JPEG has only {limit} bytes")


def content(review: Review, run: str) -> dict[str, Any]:
    """Return what ``review.js`` reads, ready for JSON; the pictures are elements of their own."""
    return {
        "run": run,
        "unit": UNIT,
        "file": {
            "format": decisions.FORMAT, "kind": decisions.KIND, "dataset": review.dataset,
            "labels": review.labels, "tool": TOOL,
        },
        "lines": [
            {
                "points": list(indices),
                "colour": drawing.css(drawing.PARTS[drawing.PART_OF_GROUP[group]]),
                "closed": group in drawing.CLOSED,
            }
            for group, indices in GROUPS.items()
        ],
        "faces": [_face(face) for face in review.faces],
    }  # fmt: skip


def _face(face: Shown) -> dict[str, Any]:
    entry = face.entry
    return {
        "face": entry.face, "image": entry.image, "sha256": face.sha256, "kind": entry.kind,
        "why": entry.why, "suspicion": round(entry.suspicion, 3), "score": round(face.score, 3),
        "origin": face.origin,
        "points": [[round(x, 1), round(y, 1), int(v)] for x, y, v in face.points.tolist()],
        "box": np.round(face.box, 1).tolist(), "others": np.round(face.others, 1).tolist(),
    }  # fmt: skip


def script() -> str:
    """The script of the page."""
    return files("lidloop.report").joinpath("templates", "review.js").read_text(encoding="utf-8")


def script_source(text: str) -> str:
    """Source of an inline script for a Content Security Policy: its SHA-256."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
