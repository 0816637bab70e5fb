from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import sigma as bench
from benchmarks.common import Skipped
from lidloop.data.dataset import Dataset, LabelVersion


def _curve(*values: float | None) -> list[dict]:
    return [{"epoch": k, "nme": v, "matched": 3, "faces": 4} for k, v in enumerate(values, start=1)]


@pytest.mark.parametrize(
    ("default", "reached", "ratio", "met"),
    [
        pytest.param((None, 0.5, 0.4, 0.3, 0.2), None, 5, True, id="never"),
        pytest.param((0.5, 0.4, 0.3, 0.2, 0.1), 5, 5, True, id="in the last epoch"),
        pytest.param((0.5, 0.1, 0.3, 0.2, 0.1), 2, 2, False, id="early, and lost again"),
    ],
)
def test_ratio_of_epochs(default, reached, ratio, met) -> None:
    report = bench.verdict(_curve(0.1), _curve(*default), 5)
    assert (report["reached"], report["ratio"], report["at_least"]) == (reached, ratio, reached is None)
    (row,) = bench.rows(report)
    assert row.met is met
    assert row.ratio == (f"> {ratio}×" if reached is None else f"{ratio}×")


def test_a_recipe_that_finds_no_face_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="finds no face"):
        bench.verdict(_curve(0.4, None), _curve(0.3), 5)


@pytest.mark.parametrize("missing", ["LIDLOOP_300W", "LIDLOOP_BASE_WEIGHTS"])
def test_missing_inputs_are_named(missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LIDLOOP_300W", "LIDLOOP_BASE_WEIGHTS"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv(missing)
    with pytest.raises(Skipped, match=f"set {missing}"):
        bench.run()
    monkeypatch.setenv(missing, str(tmp_path / "nothing"))
    with pytest.raises(Skipped, match=f"the path that {missing} names"):
        bench.run()


@pytest.mark.slow
def test_every_epoch_is_evaluated(drawn: tuple[Dataset, LabelVersion], tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
    from ultralytics.utils.callbacks.base import default_callbacks

    from lidloop.demo import demo_weights
    from lidloop.training.fine_tune import TrainSettings

    before = {name: list(calls) for name, calls in default_callbacks.items()}

    def settings(**changed) -> TrainSettings:
        return TrainSettings(imgsz=64, batch=8, device="cpu", workers=0, lr=1e-5, **changed)

    work = tmp_path / "work"
    figures = bench.curve(
        *drawn, demo_weights(), work, sigma={"kind": "constant", "sigma": 0.1}, settings=settings, epochs=2
    )
    assert [f["epoch"] for f in figures] == [1, 2]
    files = sorted((work / "epochs").iterdir())
    assert os.stat(files[0]).st_size > 1e6
    assert files[0].read_bytes() != files[1].read_bytes()
    dataset, labels = drawn
    assert bench.gold(dataset, labels, files[1], 256)["matched"] > 0
    assert {name: list(calls) for name, calls in default_callbacks.items()} == before
