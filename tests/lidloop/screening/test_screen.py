"""Tests of ``screen``: from an image to the measurements of all faces."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lidloop.labels import Face, box_of
from lidloop.landmarks import NAMES
from lidloop.screening.measurements import LENGTHS, NOTICE
from lidloop.screening.screen import ModelInfo, Options, Screening, screen
from lidloop.screening.thresholds import Thresholds
from lidloop.synthetic import draw_face
from serving.screening_answer import to_json

MODEL = ModelInfo("drawn", "3", 2, "0" * 64)
PICTURE = draw_face(seed=21, canthal_px=150, size=(360, 360), ptosis=(0.5, 0.0))


class TruthDetector:
    """Detector stub: returns the drawn face twice, at two scores. test_detector.py tests the network, the
    tests of the service test both together."""

    def __init__(self) -> None:
        self.conf: list[float] = []

    def detect(self, images: list[np.ndarray], *, conf: float = 0.25, iou: float = 0.7) -> list[list[Face]]:
        self.conf.append(conf)
        points = PICTURE.faces[0].points
        return [
            [Face(box_of(points), points, 2, score) for score in (0.9, 0.6) if score >= conf] for _ in images
        ]


def screened(**options) -> Screening:
    return screen(PICTURE.image, TruthDetector(), MODEL, Options(**options))


def test_faces_are_measured_in_the_order_of_their_scores() -> None:
    found = screened()
    assert [face.face.score for face in found.faces] == [0.9, 0.6]
    assert (found.width, found.height, found.empty) == (360, 360, None)
    assert set(found.seconds) == {"detect", "measure"}


def test_options_reach_detection_and_measurement() -> None:
    assert len(screened(max_faces=1).faces) == 1
    assert len(screened(conf=0.7).faces) == 1
    here, mirrored = screened().faces[0], screened(mirrored=True).faces[0]
    assert here.eyes["OD"].lengths["pfh"].px == pytest.approx(mirrored.eyes["OS"].lengths["pfh"].px)
    assert screened(mm_per_px=0.5).faces[0].scale.method == "given"
    assert (
        screened(pupils={"OD": PICTURE.faces[0].pupils["left"]}).faces[0].eyes["OD"].pupil.method == "given"
    )
    strict = Thresholds(mrd1_suspicious=0.1, mrd1_functional=0.1, asymmetry=20)
    assert screened().faces[0].flag.level != screened(thresholds=strict).faces[0].flag.level == "none"


def test_an_image_without_faces_has_a_message() -> None:
    found = screened(conf=0.95)
    assert found.faces == ()
    assert "No face" in found.empty
    assert to_json(found)["empty"] == found.empty


def test_the_json_answer_is_complete() -> None:
    answer = json.loads(json.dumps(to_json(screened()), allow_nan=False))
    assert answer["model"] == {"name": "drawn", "version": "3", "iteration": 2, "digest": "0" * 64}
    assert answer["notice"] == NOTICE
    face = answer["faces"][0]
    assert list(face["landmarks"]) == list(NAMES)
    for side in ("OD", "OS"):
        eye = face["eyes"][side]
        assert {*eye} >= set(LENGTHS) - {*eye["withheld"]}
        assert eye["pfh"]["mm_error"] > 0
        assert eye["pfh"]["method"] == eye["lids"]["method"] == "pixels"
        assert len(eye["lids"]["upper"]) == len(eye["lids"]["lower"]) > 10
        assert eye["pupil"]["method"] == "fitted"
    assert face["scale"]["method"] == "iris"
    assert face["quality"] == {"usable": True, "problems": []}
