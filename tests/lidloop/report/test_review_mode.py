"""The review mode's content: crops, points, sizes, and the page without a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from typing import Any

import cv2
import numpy as np
import pytest

from lidloop.cli.review import open_run, order_faces
from lidloop.data.dataset import Dataset
from lidloop.drawing import crop_box
from lidloop.report import page, review_mode
from lidloop.report.pictures import loader
from lidloop.report.review_mode import MARGIN, SIDE, UNIT, Review, encode_within, make_review
from lidloop.review.faces import Faces
from lidloop.review.page_limits import FACE_BYTES, MAX_FACES
from tests.command_line import lidloop
from tests.lidloop.test_report import Made, Page


@pytest.fixture(scope="module")
def opened(made: Made) -> tuple[Dataset, Faces, list[Any]]:
    dataset, labels, predictions = open_run(made.root)
    return (dataset, *order_faces(dataset, labels, predictions, human=True))


def review_of(opened: tuple[Dataset, Faces, list[Any]], limit: int = MAX_FACES, **changes: Any) -> Review:
    dataset, faces, entries = opened
    return make_review(dataset, 2, faces, entries, changes.get("load", loader(dataset)), limit=limit)


def test_faces_come_in_the_order_of_the_queue(opened: tuple[Dataset, Faces, list[Any]]) -> None:
    review = review_of(opened, 5)
    entries = opened[2]
    known = [e for e in entries[:5] if opened[1].all.points[e.row, :, 2].any()]
    assert [shown.entry for shown in review.faces] == known
    assert (review.queue, review.left_out) == (len(entries), 5 - len(known))
    assert len(review_of(opened).faces) + review_of(opened).left_out == len(entries)


def test_a_dropped_face_without_points_cannot_be_confirmed_and_is_left_out(
    opened: tuple[Dataset, Faces, list[Any]],
) -> None:
    """``import`` would refuse the file: the points of such a face are not known."""
    faces = opened[1]
    lost = {faces.ids[k] for k in np.flatnonzero(~faces.all.points[:, :, 2].any(axis=1))}
    assert lost
    assert not lost & {shown.entry.face for shown in review_of(opened).faces}


def test_points_are_where_the_crop_shows_them(opened: tuple[Dataset, Faces, list[Any]]) -> None:
    dataset, faces, _ = opened
    for shown in review_of(opened).faces:
        row = shown.entry.row
        box = faces.all.boxes[row]
        size = cv2.imdecode(np.frombuffer(shown.jpeg, np.uint8), cv2.IMREAD_COLOR).shape[0]
        crop = crop_box(loader(dataset)(shown.entry.image), box, size=size, margin=MARGIN)
        expected = crop.move(faces.all.points[row, :, :2]) * UNIT / size
        np.testing.assert_allclose(shown.points[:, :2], expected, atol=0.5)
        side = (box[2:] - box[:2]).max() / (shown.box[2:] - shown.box[:2]).max() * UNIT
        assert side == pytest.approx((1 + 2 * MARGIN) * (box[2:] - box[:2]).max(), rel=0.02)


def test_other_labels_near_a_face_are_shown(opened: tuple[Dataset, Faces, list[Any]]) -> None:
    shown = {(face.entry.kind, face.entry.image): face for face in review_of(opened).faces}
    large, small = shown["human", "p05"], shown["grown", "p05"]
    assert len(large.others) == 1
    assert large.box[2] < large.others[0, 0] < UNIT < large.others[0, 2], "cut by the border of the crop"
    assert len(small.others) == 0


def test_unreadable_pictures_are_left_out(opened: tuple[Dataset, Faces, list[Any]]) -> None:
    review = review_of(opened, load=lambda image: None)
    assert (len(review.faces), review.left_out) == (0, len(opened[2]))


@pytest.mark.parametrize("limit", [0, -1, MAX_FACES + 1])
def test_a_page_has_a_limited_number_of_faces(opened: tuple[Dataset, Faces, list[Any]], limit: int) -> None:
    with pytest.raises(ValueError, match=f"{limit} faces"):
        review_of(opened, limit)


@pytest.mark.parametrize("limit", [FACE_BYTES, 20_000, 2_000])
def test_the_noisiest_picture_fits_into_the_limit(limit: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    data = encode_within(noise, limit)
    assert limit / 3 < len(data) <= limit
    height, width = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    assert height == width


def test_a_limit_below_every_jpeg_is_an_error() -> None:
    with pytest.raises(ValueError, match="no JPEG"):
        encode_within(np.zeros((8, 8, 3), dtype=np.uint8), 10)


@pytest.mark.usefixtures("without_figures")
def test_faces_are_on_the_page_only_if_asked_for(made: Made) -> None:
    for options, asked in (((), False), (("--review", "50", "--human"), True)):
        result = lidloop("report", made.root, *options)
        assert ("faces of the review queue can be reviewed" in result.stdout) == asked
        text = (made.root / "report.html").read_text()
        assert ("review-jpeg" in text) == asked
        assert ("<script" in text) == asked
    assert "review" not in json.loads((made.root / "summary.json").read_text())


@pytest.mark.usefixtures("without_figures")
def test_the_page_is_well_formed_and_may_load_and_send_nothing(
    made: Made, opened: tuple[Dataset, Faces, list[Any]]
) -> None:
    summary = json.loads((made.root / "summary.json").read_text())
    text = page.render(summary, page.Pictures([], [], {}, []), review=review_of(opened))
    parsed = Page(text)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert [a[:60] for a in parsed.addresses if not a.startswith(("data:image/", "#"))] == []
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    directives = {part.split()[0]: part.split()[1:] for part in html.unescape(policy[1]).split(";")}
    script = re.search(r'<script type="module">(.*?)</script>', text, re.S)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert directives == {
        "default-src": ["'none'"], "img-src": ["data:"], "style-src": ["'unsafe-inline'"],
        "script-src": [f"'sha256-{digest}'"], "base-uri": ["'none'"], "form-action": ["'none'"],
    }  # fmt: skip


@pytest.mark.usefixtures("without_figures")
def test_names_from_the_data_cannot_become_markup(
    made: Made, opened: tuple[Dataset, Faces, list[Any]]
) -> None:
    review = review_of(opened, 3)
    hostile = "</script><img src=x onerror=alert(1)>"
    summary = json.loads((made.root / "summary.json").read_text()) | {"run": hostile}
    text = page.render(summary, page.Pictures([], [], {}, []), review=review)
    Page(text)
    assert "<img src=x" not in text
    content = re.search(r'<script type="application/json" id="review-content">(.*?)</script>', text, re.S)
    assert content
    assert json.loads(content[1]) == json.loads(json.dumps(review_mode.content(review, hostile)))


def test_verdicts_have_keys_of_their_own() -> None:
    assert len({v.key for v in review_mode.VERDICTS}) == len(review_mode.VERDICTS)
    assert len({(v.verdict, v.note) for v in review_mode.VERDICTS}) == len(review_mode.VERDICTS)
