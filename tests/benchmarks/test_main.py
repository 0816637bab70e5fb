"""What ``make bench`` and ``make docs`` write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import __main__ as main
from benchmarks.common import DATA, REPORTS, Skipped, machine, sample_ibug
from benchmarks.pages import __main__ as docs
from benchmarks.pages import benchmarks as render

FILTER = {
    "images": 100, "labels": 3, "predictions": 4, "repeat": 1, "target": 50.0,
    "paper_exact": {"lidloop_seconds": 0.01, "plain_seconds": 0.6, "ratio": 60.0},
    "priority": {"lidloop_seconds": 0.02, "plain_seconds": 0.6, "ratio": 30.0},
}  # fmt: skip
MACHINE = {"cpu": "A | B", "cores": 2, "system": "linux", "versions": {"python": "3.11"}}


def _stored(**entry) -> dict:
    return {"benchmarks": {"filter": {"measured": "2026-01-01", "machine": MACHINE, **entry}}}


def test_the_page_has_every_measurement_and_its_machine() -> None:
    text = render.page(_stored(report=FILTER))
    assert (
        "| Filter alone, as the paper filters, 100 pictures | 0.010 s | 0.60 s | 60× | ≥ 50× | met |" in text
    )
    assert "| 30× | – | – |" in text
    assert "2026-01-01, A | B, 2 cores, python 3.11." in text
    assert "| `sigma` | – | – | – | – | not measured yet |" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {7}


def test_a_missed_target_is_shown_as_missed() -> None:
    slow = {**FILTER, "paper_exact": {**FILTER["paper_exact"], "ratio": 49.9}}
    assert "| 50× | ≥ 50× | **missed** |" in render.page(_stored(report=slow))


@pytest.mark.parametrize(
    ("entry", "said"),
    [({"skipped": "needs a|b"}, "skipped: needs a\\|b"), ({"failed": "OSError"}, "failed: OSError")],
)
def test_reasons_are_on_the_page(entry: dict, said: str) -> None:
    assert f"| `filter` | – | – | – | – | {said} |" in render.page(_stored(**entry))


def _skip(_) -> dict:
    raise Skipped("needs pictures")


def _break(_) -> dict:
    raise OSError("/a/private/place")


def test_one_that_breaks_does_not_stop_the_others() -> None:
    console = Console(record=True, width=100, force_terminal=False)
    chosen = {"overhead": _break, "sigma": _skip, "filter": lambda say: FILTER}
    result, broken = main.measure_all(chosen, {}, console)
    assert broken == ["overhead"]
    entries = result["benchmarks"]
    assert entries["overhead"]["failed"] == "OSError"
    assert "private" not in json.dumps(result)
    assert entries["sigma"]["skipped"] == "needs pictures"
    assert entries["filter"]["report"] == FILTER
    assert entries["filter"]["machine"]["cores"] >= 1
    assert "sigma: skipped, needs pictures" in console.export_text()


@pytest.mark.parametrize("now", [_skip, _break])
def test_earlier_figures_stay_where_there_are_no_new_ones(now) -> None:
    before = _stored(report=FILTER)
    result, _ = main.measure_all({"filter": now}, before, Console(quiet=True))
    assert result["benchmarks"] == before["benchmarks"]


def test_a_quick_filter_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--quick", "--only", "filter", "--only", "overhead", "--out", str(tmp_path)]) == 0
    stored = json.loads((tmp_path / DATA / "benchmarks.json").read_text())
    assert stored["benchmarks"]["filter"]["report"]["images"] == 2000
    assert "needs a finished run" in stored["benchmarks"]["overhead"]["skipped"]
    text = (tmp_path / REPORTS / "BENCHMARKS.md").read_text()
    assert "Quick sizes" in text
    assert "Filter alone" in capsys.readouterr().out
    (tmp_path / REPORTS / "BENCHMARKS.md").unlink()
    docs.main(["--docs", str(tmp_path)])
    assert (tmp_path / REPORTS / "BENCHMARKS.md").read_text() == text


def test_a_broken_measurement_is_an_exit_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main.filter, "run", lambda **options: _break(None))
    assert main.main(["--quick", "--only", "filter", "--out", str(tmp_path)]) == 1
    assert "failed: OSError" in (tmp_path / REPORTS / "BENCHMARKS.md").read_text()


def test_docs_without_figures_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docs.main(["--docs", str(tmp_path)])
    assert "benchmarks_page: nothing to make it from" in capsys.readouterr().out
    assert not (tmp_path / REPORTS).exists()


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
