"""lidloop and the paper's procedure keep the same labels, and a difference between them is detected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchmarks import auto_label as bench
from benchmarks.pages.benchmarks import notes
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.export import write_texts

pytest.importorskip("ultralytics")

IMGSZ = 256


@dataclass(frozen=True)
class Both:
    """Eight drawn pictures, their labels, and the labels that each side added."""

    dataset: Dataset
    base: LabelVersion
    grown: LabelVersion
    added: dict[str, list[str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lidloop.demo import demo_weights

    return bench.model_at(demo_weights(), IMGSZ, tmp_path_factory.mktemp("bench") / "model")


@pytest.fixture(scope="module")
def both(drawn: tuple[Dataset, LabelVersion], model: Path, tmp_path_factory: pytest.TempPathFactory) -> Both:
    place = tmp_path_factory.mktemp("both")
    dataset, base = bench.first_pictures(*drawn, 8, place / "few")
    grown = bench.run_lidloop(dataset, base, model, place / "lidloop")
    write_texts(base, dataset, place / "texts")
    added = bench.run_paper(dataset, place / "texts", model, place / "paper", IMGSZ).added
    return Both(dataset, base, grown, added)


def test_both_keep_the_same_labels(both: Both) -> None:
    same = bench.compare(both.dataset, both.base, both.grown, both.added)
    assert same["kept_by_both"] == both.grown.info["parameters"]["grown"] > 0
    assert same["pictures"] == 8
    assert same["flips"] == []
    assert same["max_box_px"] < bench.BOX_TOLERANCE_PX
    assert same["max_score"] < 1e-3


def _moved(line: str, share: float) -> str:
    fields = line.split()
    fields[1] = f"{float(fields[1]) + share:.6f}"
    return " ".join(fields)


def _point_moved(line: str) -> str:
    fields = line.split()
    fields[5] = f"{float(fields[5]) + 0.01:.6f}"
    return " ".join(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda lines: lines[1:], "only lidloop keeps", id="a label missing"),
        pytest.param(lambda lines: [*lines, lines[0]], "only paper keeps", id="a label twice"),
        pytest.param(
            lambda lines: [_moved(lines[0], 0.001), *lines[1:]], "only", id="a box a quarter px off"
        ),
        pytest.param(lambda lines: [_point_moved(lines[0]), *lines[1:]], "points differ", id="a point off"),
    ],
)
def test_a_difference_is_detected(both: Both, change, message: str) -> None:
    image = next(name for name, lines in both.added.items() if lines)
    added = {**both.added, image: change(both.added[image])}
    with pytest.raises(bench.Disagreement, match=message):
        bench.compare(both.dataset, both.base, both.grown, added)


def test_a_label_of_an_unknown_picture_is_detected(both: Both) -> None:
    added = {**both.added, "elsewhere": next(iter(both.added.values()))}
    with pytest.raises(bench.Disagreement, match="elsewhere"):
        bench.compare(both.dataset, both.base, both.grown, added)


def test_no_kept_label_is_an_error(both: Both) -> None:
    with pytest.raises(bench.Disagreement, match="neither side keeps"):
        bench.compare(both.dataset, both.base, both.base, {})


@pytest.mark.parametrize(("score", "flips"), [(0.70005, True), (0.7002, False)])
def test_a_score_at_the_threshold_may_flip_and_is_listed(both: Both, score: float, flips: bool) -> None:
    image = next(name for name, lines in both.added.items() if lines)
    fields = both.added[image][0].split()
    fields[1:5] = ["0.05", "0.05", "0.01", "0.01"]
    fields[-1] = str(score)
    added = {**both.added, image: [*both.added[image], " ".join(fields)]}
    if flips:
        (flip,) = bench.compare(both.dataset, both.base, both.grown, added)["flips"]
        assert flip["kept_by"] == "paper"
        assert flip["score"] == score
    else:
        with pytest.raises(bench.Disagreement, match="only paper"):
            bench.compare(both.dataset, both.base, both.grown, added)


def test_pairs_are_the_closest_and_each_box_once() -> None:
    a = np.array([[0, 0, 10, 10], [0.03, 0, 10, 10]], dtype=float)
    b = np.array([[0.03, 0, 10, 10], [50, 50, 60, 60]], dtype=float)
    assert bench._pair(a, b) == [(1, 0)]
    assert bench._pair(a, np.zeros((0, 4))) == []


def test_a_measurement_has_rows_and_notes(both: Both, model: Path, tmp_path: Path) -> None:
    dataset, base = bench.first_pictures(both.dataset, both.base, 2, tmp_path / "two")
    report = bench.measure(dataset, base, model, tmp_path / "work", imgsz=IMGSZ, repeat=1)
    assert report["ratio"] == report["paper_seconds"][0] / report["lidloop_seconds"][0]
    parts = report["parts"]
    assert set(parts) == {"load", "read_and_prepare", "network", "decode", "filter_and_write"}
    assert all(seconds > 0 for seconds in parts.values())
    report |= {"data": "drawn", "weights": "demo"}
    first, second = bench.rows(report)
    assert first.met is (report["ratio"] >= 2)
    assert second.met is None
    assert "2 pictures at 256 px" in notes("auto_label", report)
