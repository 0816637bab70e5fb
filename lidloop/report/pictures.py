"""Images of the report: annotated crops of faces, as JPEG with a caption."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import cv2
import numpy as np

from lidloop import drawing
from lidloop.data.dataset import Dataset
from lidloop.data.ledgers import Ledger
from lidloop.errors import LidloopError
from lidloop.images import read_rgb
from lidloop.labels import HUMAN, Face, Floats, LabelSet, box_iou
from lidloop.landmarks import N_POINTS
from lidloop.report.ledger import near_misses, sample_grown

log = logging.getLogger("lidloop")
Loader = Callable[[str], drawing.Image | None]
TILE: Final = 256
QUALITY: Final = 82


class Tile(NamedTuple):
    """Image in a grid: JPEG bytes (None if the picture cannot be read), title and caption."""

    jpeg: bytes | None
    title: str
    text: str


def loader(dataset: Dataset) -> Loader:
    """Return a function that reads pictures by id, with a cache; unreadable ones are logged and None."""
    cache: dict[str, drawing.Image | None] = {}

    def load(image: str) -> drawing.Image | None:
        if image not in cache:
            if len(cache) > 32:
                cache.pop(next(iter(cache)))
            try:
                cache[image] = read_rgb(dataset.path(image))
            except LidloopError as error:
                log.warning("the report shows no picture of %s: %s", image, error)
                cache[image] = None
        return cache[image]

    return load


def jpeg(image: drawing.Image) -> bytes:
    """Encode an RGB array as JPEG."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise LidloopError("OpenCV could not encode a JPEG")
    return bytes(data.tobytes())


def box_only_face(box: Floats, origin: int, score: float) -> Face:
    """Return a face with a box and no visible points."""
    return Face(np.asarray(box, dtype=np.float64), np.zeros((N_POINTS, 3)), origin, score)


def face_tile(
    load: Loader, image: str, box: Floats, faces: Sequence[Face], title: str, text: str, **options: Any
) -> Tile:
    """Return a tile of the crop around ``box`` with ``faces`` drawn on it."""
    picture = load(image)
    if picture is None or not np.isfinite(box).all() or (box[2:] <= box[:2]).any():
        return Tile(None, title, text)
    crop = drawing.crop_box(picture, box, size=TILE, margin=0.25)
    drawn = drawing.draw_faces(crop.image, [crop.face(f) for f in faces], **options)
    return Tile(jpeg(drawn), title, text)


def grown_tiles(labels: LabelSet, load: Loader, *, count: int, seed: int) -> list[Tile]:
    """Return crops of ``count`` random grown labels, each with its id ``picture:line``.

    Only that label is drawn, so that a correct neighbour cannot cover a wrong one.
    """
    lines = _line_numbers(labels)
    tiles = []
    for number, row in enumerate(sample_grown(labels, count=count, seed=seed).tolist(), start=1):
        image = labels.images[labels.image[row]]
        face = Face(labels.boxes[row], labels.points[row], int(labels.origin[row]), float(labels.score[row]))
        text = f"{face.score:.2f} · grown for v{face.origin + 1}"
        tile = face_tile(load, image, face.box, [face], f"{number} · {image}:{lines[row]}", text, boxes=False)
        tiles.append(tile)
    return tiles


def dropped_tiles(
    labels: LabelSet, ledgers: Sequence[Ledger], load: Loader, *, per_reason: int
) -> dict[str, list[Tile]]:
    """Return near-misses by reason, each with the dropped box and the current labels of the picture."""
    result: dict[str, list[Tile]] = {}
    for reason, entries in near_misses(ledgers, per_reason=per_reason).items():
        tiles = []
        for index, row in entries:
            ledger = ledgers[index]
            image, box = str(ledger.image[row]), ledger.boxes[row]
            dropped = box_only_face(box, int(ledger.origin[row]), float(ledger.confidence[row]))
            text = f"{dropped.score:.2f} · IoU {ledger.iou[row]:.2f} · for v{dropped.origin + 1}"
            faces = [*labels.of(image), dropped]
            tile = face_tile(load, image, box, faces, image, text, colour=_dropped_colour)
            tiles.append(tile)
        result[reason] = tiles
    return result


def _dropped_colour(face: Face) -> drawing.RGB:
    # A dropped face has no visible point.
    return drawing.colour_of(face) if face.points[:, 2].any() else drawing.DROPPED_COLOUR


def worst_tiles(
    rows: Sequence[Mapping[str, Any]], gold: LabelSet, found: LabelSet | None, load: Loader
) -> list[Tile]:
    """Return tiles of the gold faces with the largest errors: the human label, then the prediction.

    Args:
        rows: rows of ``points.parquet``, worst first.
        gold: the labels of version 0.
        found: predictions of the model, or None if not available.
    """
    tiles = []
    for row in rows:
        image = row["image"]
        face = gold.of(image)[row["face"]]
        text = "missed" if not row["matched"] else f"NME {100 * row['nme']:.1f} %"
        tiles.append(face_tile(load, image, face.box, [face], image, f"{text} · person"))
        if found is None or not row["matched"] or image not in found.images:
            continue
        # The table does not name the matched prediction; its score and IoU do.
        for prediction in found.of(image):
            iou = float(box_iou(prediction.box[None], face.box[None])[0, 0])
            if abs(prediction.score - row["score"]) < 1e-4 and abs(iou - row["iou"]) < 1e-3:
                caption = f"{text} · model, {prediction.score:.2f}"
                tiles.append(face_tile(load, image, face.box, [prediction], image, caption))
                break
    return tiles


class Strip(NamedTuple):
    """One picture in all label versions: Figure 2 of the paper."""

    image: str
    tiles: list[Tile]


def strips(
    labels: LabelSet, ledgers: Sequence[Ledger], load: Loader, *, count: int, size: int = 360
) -> list[Strip]:
    """Return pictures by label version, with human and grown boxes in different colours.

    Pictures that gained labels in most versions come first, then those with most new labels, then by name.
    """
    grew: dict[str, list[int]] = {}
    for ledger in ledgers:
        for image in ledger.image[ledger.accepted].tolist():
            grew.setdefault(image, []).append(ledger.version)
    order = sorted(grew, key=lambda name: (-len(set(grew[name])), -min(len(grew[name]), 6), name))
    result = []
    for image in order[:count]:
        picture = load(image)
        if picture is None:
            continue
        small = drawing.fit(picture, size=size)
        now = labels.of(image)
        tiles = []
        for ledger in ledgers:
            rows = np.flatnonzero((ledger.image == image) & ledger.kept)
            faces = [
                _current_label(
                    now, box_only_face(ledger.boxes[r], int(ledger.origin[r]), float(ledger.confidence[r]))
                )
                for r in rows
            ]
            drawn = drawing.draw_faces(small.image, [small.face(f) for f in faces])
            human = sum(f.origin == HUMAN for f in faces)
            tiles.append(
                Tile(jpeg(drawn), f"v{ledger.version}", f"{human} human + {len(faces) - human} grown")
            )
        result.append(Strip(image, tiles))
    return result


def contact_sheet(tiles: Sequence[Tile], *, columns: int = 10) -> drawing.Image:
    """Arrange tiles on one image, each with its title below."""
    band, cell = 30, TILE + 8
    rows = max(1, -(-len(tiles) // columns))
    sheet = np.full((rows * (cell + band), columns * cell, 3), 255, dtype=np.uint8)
    for k, tile in enumerate(tiles):
        y, x = (k // columns) * (cell + band) + 4, (k % columns) * cell + 4
        if tile.jpeg is not None:
            decoded: Any = cv2.imdecode(np.frombuffer(tile.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
            sheet[y : y + TILE, x : x + TILE] = decoded
        for line, text in enumerate((tile.title, tile.text)):
            at = (x, y + TILE + 12 + 13 * line)
            cv2.putText(sheet, text[:34], at, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (20, 20, 20), 1, cv2.LINE_AA)
    return sheet


def _current_label(now: Sequence[Face], face: Face) -> Face:
    """Return the current label with the same box, or the face itself if that label was replaced."""
    for label in now:
        if np.abs(label.box - face.box).max() < 0.5 and label.origin == face.origin:
            return label
    return face


def _line_numbers(labels: LabelSet) -> list[int]:
    seen: dict[int, int] = {}
    lines = []
    for image in labels.image.tolist():
        seen[image] = seen.get(image, -1) + 1
        lines.append(seen[image])
    return lines
