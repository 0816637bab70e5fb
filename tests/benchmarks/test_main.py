from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import __main__ as main
from benchmarks.common import DATA, REPORTS, Skipped, machine, sample_ibug
from benchmarks.pages.benchmarks import page
from benchmarks.registry import MEASUREMENTS

FILTER = {
    "images": 100, "labels": 3, "predictions": 4, "repeat": 1, "target": 50.0,
    "paper_exact": {"lidloop_seconds": 0.01, "plain_seconds": 0.6, "ratio": 60.0},
    "priority": {"lidloop_seconds": 0.02, "plain_seconds": 0.6, "ratio": 30.0},
}  # fmt: skip
MACHINE = {"cpu": "A | B", "cores": 2, "system": "linux", "versions": {"python": "3.11"}}


def _stored(**entry) -> dict:
    return {"benchmarks": {"filter": {"measured": "2026-01-01", "machine": MACHINE, **entry}}}


def test_page_of_figures_with_and_without_a_target() -> None:
    text = page(_stored(report=FILTER))
    assert "100 pictures | 0.010 s | 0.60 s | 60× | ≥ 50× | met |" in text
    assert "| 30× | – | – |" in text
    assert "| `sigma` | – | – | – | – | not measured yet |" in text


def test_a_missed_target_is_shown() -> None:
    slow = {**FILTER, "paper_exact": {**FILTER["paper_exact"], "ratio": 49.9}}
    assert "| 50× | ≥ 50× | **missed** |" in page(_stored(report=slow))


@pytest.mark.parametrize(
    ("entry", "shown"),
    [({"skipped": "needs a|b"}, "skipped: needs a\\|b"), ({"failed": "OSError"}, "failed: OSError")],
)
def test_reasons_of_missing_figures_are_shown(entry: dict, shown: str) -> None:
    assert f"| `filter` | – | – | – | – | {shown} |" in page(_stored(**entry))


def _skip(*, run_dir: Path | None) -> dict:
    raise Skipped("needs pictures")


def _fail() -> dict:
    raise OSError("/a/private/path")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace the ``run`` functions of measurements."""

    def replace_runs(**runs: Callable[..., dict]) -> None:
        for name, run in runs.items():
            monkeypatch.setitem(MEASUREMENTS, name, replace(MEASUREMENTS[name], run=run))

    return replace_runs


def test_a_failed_measurement_does_not_stop_the_others(fake: Callable[..., None]) -> None:
    console = Console(record=True, width=100, force_terminal=False)
    fake(sigma=_fail, overhead=_skip, filter=lambda: FILTER)
    result, failed = main.measure_all(["sigma", "overhead", "filter"], {}, console, context={"run_dir": None})
    assert failed == ["sigma"]
    entries = result["benchmarks"]
    assert entries["sigma"]["failed"] == "OSError"
    assert "private" not in json.dumps(result)
    assert entries["overhead"]["skipped"] == "needs pictures"
    assert entries["filter"]["report"] == FILTER
    assert entries["filter"]["machine"]["cores"] >= 1
    assert "overhead: skipped, needs pictures" in console.export_text()


@pytest.mark.parametrize("now", [_fail, lambda: _skip(run_dir=None)], ids=["failed", "skipped"])
def test_earlier_figures_are_kept_if_there_are_no_new_ones(fake: Callable[..., None], now: Any) -> None:
    before = _stored(report=FILTER)
    fake(filter=now)
    result, _ = main.measure_all(["filter"], before, Console(quiet=True), context={})
    assert result["benchmarks"] == before["benchmarks"]


def test_quick_measurements_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--quick", "--only", "filter", "--only", "overhead", "--out", str(tmp_path)]
    assert main.main(command) == 0
    stored = json.loads((tmp_path / DATA / "benchmarks.json").read_text())
    assert stored["benchmarks"]["filter"]["report"]["images"] == 2000
    assert "needs a finished run" in stored["benchmarks"]["overhead"]["skipped"]
    assert "Quick sizes" in (tmp_path / REPORTS / "BENCHMARKS.md").read_text()
    assert "Filter alone" in capsys.readouterr().out


def test_sizes_are_set_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--only", "filter", "--out", str(tmp_path), "--set", "images=300", "--set"]
    assert main.main([*command, "repeat=1"]) == 0
    report = json.loads((tmp_path / DATA / "benchmarks.json").read_text())["benchmarks"]["filter"]["report"]
    assert (report["images"], report["repeat"]) == (300, 1)
    for wrong in ("size=1", "repeat"):
        with pytest.raises(SystemExit):
            main.main([*command, wrong])
        assert wrong.partition("=")[0] in capsys.readouterr().err


@pytest.mark.parametrize(("ratio", "strict", "status"), [(49.0, False, 0), (49.0, True, 1), (60.0, True, 0)])
def test_exit_status_of_missed_targets(
    fake: Callable[..., None], tmp_path: Path, ratio: float, strict: bool, status: int
) -> None:
    fake(
        filter=lambda images=0, repeat=0: {**FILTER, "paper_exact": {**FILTER["paper_exact"], "ratio": ratio}}
    )
    command = ["--quick", "--only", "filter", "--out", str(tmp_path)]
    assert main.main([*command, "--strict"] if strict else command) == status


def test_a_failed_measurement_is_an_exit_status(fake: Callable[..., None], tmp_path: Path) -> None:
    fake(sigma=lambda **sizes: _fail())
    assert main.main(["--only", "sigma", "--out", str(tmp_path)]) == 1
    assert "failed: OSError" in (tmp_path / REPORTS / "BENCHMARKS.md").read_text()


def test_a_sample_is_linked_and_the_same_for_a_seed(tmp_path: Path) -> None:
    for k in range(6):
        for name in (f"a/{k}.pts", f"a/{k}.jpg", "a/alone.pts"):
            (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "all" / name).touch()
    names = []
    for out in ("one", "two"):
        assert sample_ibug(tmp_path / "all", tmp_path / out, annotations=3, seed=1) == 3
        names.append(sorted(p.name for p in (tmp_path / out / "a").iterdir()))
    assert names[0] == names[1]
    assert len(names[0]) == 6
    assert "alone.pts" not in names[0]
    with pytest.raises(Skipped, match="holds no"):
        sample_ibug(tmp_path / "one" / "b", tmp_path / "three", annotations=1, seed=0)


def test_the_machine_is_named() -> None:
    where = machine()
    assert where["cpu"]
    assert where["versions"]["numpy"][0].isdigit()
