from __future__ import annotations

import json

import pytest

from benchmarks import detection as bench
from benchmarks.pages.benchmarks import notes

pytest.importorskip("ultralytics")

VERDICT = {
    "accepted": True, "reasons": ["NME 4 % → 4.01 %"], "calibration_pictures": 64,
    "gold": {"faces": 156}, "gold_fp32": {"faces": 156},
}  # fmt: skip
REPORT = {
    "pictures": 6, "imgsz": 640, "faces": 19, "repeat": 8, "weights": "demo weights",
    "target": 0.7, "ms": {"bare": 100.0, "parts": 60.0, "whole": 95.0, "int8": 30.0},
    "ratio": {"parts": 0.6, "whole": 0.95, "int8": 0.3},
    "apart": {
        "parts": {"other_counts": 0, "max_px": 0.0001, "median_px": 0.0},
        "int8": {"other_counts": 1, "max_px": 3.0, "median_px": 0.5},
    },
    "int8": {
        "256": VERDICT,
        "640": {**VERDICT, "accepted": False, "reasons": ["NME 4 % → 5 %: more than 2 % worse"]},
    },
}  # fmt: skip


@pytest.mark.slow
def test_everything_is_measured() -> None:
    report = json.loads(json.dumps(bench.run(imgsz=256, pictures=2, repeat=1, judged=10)))
    assert set(report["ratio"]) >= {"parts", "whole", "int8"}
    for name, ratio in report["ratio"].items():
        assert ratio == pytest.approx(report["ms"][name] / report["ms"]["bare"])
    assert report["faces"] > 0
    assert report["apart"]["parts"]["other_counts"] == 0
    assert report["apart"]["parts"]["max_px"] <= 0.01
    assert len(bench.rows(report)) == len(report["ratio"])
    assert "2 drawn pictures of 256 × 256 px" in notes("detection", report)


@pytest.mark.parametrize(("ratio", "met"), [(0.6, True), (0.7, True), (0.71, False)])
def test_only_the_parts_have_a_target(ratio: float, met: bool) -> None:
    lines = bench.rows({**REPORT, "ratio": {**REPORT["ratio"], "parts": ratio}})
    assert [line.met for line in lines] == [met, None, None]


def test_notes_say_which_int8_was_accepted() -> None:
    text = notes("detection", REPORT)
    assert "INT8 at 256 px is accepted on 156 gold faces" in text
    assert "INT8 at 640 px is refused on 156 gold faces" in text
    assert "more than 2 % worse" in text
    assert "parts 0.0001 px" in text
    assert "takes 0.63 of the whole" in text
