"""The vectorised filter and the plain loops keep the same predictions."""

from __future__ import annotations

import pytest

from benchmarks import filter as bench
from benchmarks.paper_procedure import _filter_folder, box_iou, filter_by_priority, filter_predictions
from lidloop.autolabel.priority_nms import NmsResult


def test_both_sides_keep_the_same_predictions():
    report = bench.run(images=500, repeat=1)
    assert report["paper_exact"]["same_kept"]
    assert 0 < report["priority"]["kept"] < report["paper_exact"]["kept"] < report["predictions"]
    assert (
        report["ratio"] == report["paper_exact"]["plain_seconds"] / report["paper_exact"]["lidloop_seconds"]
    )


def test_a_difference_is_an_error(monkeypatch):
    right = bench.priority_nms

    def wrong(*args, **options):
        result = right(*args, **options)
        result.decision[0] = 1 - result.decision[0]
        return NmsResult(result.decision, result.label_iou)

    monkeypatch.setattr(bench, "priority_nms", wrong)
    with pytest.raises(RuntimeError, match="keep different predictions"):
        bench.run(images=50, repeat=1)


def test_plain_loops_by_hand():
    label, same, apart = (0, 0, 10, 10), (1, 0, 11, 10), (20, 20, 30, 30)
    assert box_iou(label, same) == 90 / 110
    assert filter_predictions({"a": [label]}, {"a": [same, apart, apart], "b": [same]}) == {
        "a": [1, 2],
        "b": [0],
    }
    assert filter_by_priority({"a": [label]}, {"a": [same, apart, apart]}, {"a": [1, 0.8, 0.9]}) == {"a": [2]}


def test_text_files_are_merged_as_the_paper_does(tmp_path):
    for name in ("images", "labels", "predicted"):
        (tmp_path / name).mkdir()
    tail = " 0.5 0.5 2" * 51
    (tmp_path / "images" / "a.jpg").touch()
    (tmp_path / "images" / "b.jpg").touch()
    (tmp_path / "labels" / "a.txt").write_text(f"0 0.5 0.5 0.2 0.2{tail}\n")
    (tmp_path / "predicted" / "a.txt").write_text(
        f"0 0.51 0.5 0.2 0.2{tail} 0.9\n0 0.1 0.1 0.1 0.1{tail} 0.8\n"
    )
    added = _filter_folder(
        tmp_path / "predicted", tmp_path / "labels", tmp_path / "images", 0.3, tmp_path / "out"
    )
    assert added == {"a": [f"0 0.1 0.1 0.1 0.1{tail} 0.8"]}
    assert (tmp_path / "out" / "a.txt").read_text().count("\n") == 2
    assert (tmp_path / "out" / "b.txt").read_text() == ""
