"""Counts of reviewed faces by iteration."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lidloop.data.dataset import LabelVersion
from lidloop.data.ledgers import models_of
from lidloop.review.apply import import_decisions
from lidloop.review.decisions import Decision
from lidloop.review.exchange import as_points
from lidloop.review.tally import Tally, Verdicts, tally
from tests.lidloop.review.conftest import Run

AT = datetime(2026, 1, 2, tzinfo=UTC)


def decision(run: Run, kind: str, number: int, verdict: Any, *, days: int = 0) -> Decision:
    row = run.row(kind, number)
    points = None
    if verdict == "corrected":
        moved = run.faces.all.points[row].copy()
        moved[:, 0] += 2 * (moved[:, 2] > 0)
        points = as_points(moved)
    return Decision(
        face=run.faces.ids[row], image=run.image(row), verdict=verdict, points=points,
        at=AT + timedelta(days=days),
    )  # fmt: skip


def reviewed(version: LabelVersion) -> list[Tally]:
    return [Tally.from_json(entry) for entry in version.info["parameters"]["review"]["faces"]]


def test_a_version_holds_the_counts_of_all_imports_so_far(run: Run, tmp_path: Path) -> None:
    first = run.file(
        decision(run, "grown", 0, "confirmed"),
        decision(run, "grown", 1, "declined"),
        decision(run, "grown", 2, "corrected"),
        decision(run, "grown", 3, "unsure"),
        decision(run, "dropped", 0, "declined"),
        decision(run, "human", 0, "confirmed"),
    )
    version, _ = import_decisions(
        run.dataset, run.labels, {"a": first}, tmp_path / "v2", predictions=run.predictions
    )
    assert reviewed(version) == [
        Tally(0, "dropped", Verdicts(declined=1)),
        Tally(0, "grown", Verdicts(confirmed=1, corrected=1, declined=1, open=1)),
    ]
    assert version.info["parameters"]["review"]["models"] == {"0": "m" * 64} == models_of(run.labels)
    changed = run.file(decision(run, "grown", 0, "declined", days=1), decision(run, "grown", 4, "confirmed"))
    last, _ = import_decisions(
        run.dataset, version, {"b": changed}, tmp_path / "v3", predictions=run.predictions
    )
    assert reviewed(last)[1] == Tally(0, "grown", Verdicts(confirmed=1, corrected=1, declined=2, open=1))
    assert last.info["parameters"]["review"]["models"] == {"0": "m" * 64}


def test_a_face_on_which_people_disagree_is_open(run: Run, tmp_path: Path) -> None:
    files = {
        name: run.file(decision(run, "grown", 0, verdict), session=name)
        for name, verdict in (("a", "confirmed"), ("b", "declined"))
    }
    version, report = import_decisions(run.dataset, run.labels, files, tmp_path / "v2")
    assert len(report.disputes) == 1
    assert reviewed(version) == [Tally(0, "grown", Verdicts(open=1))]


def test_tables_without_origins_count_nothing() -> None:
    row = {"face": "a", "outcome": "applied", "verdict": "declined", "before": "0 …"}
    assert tally([row, row | {"face": "b", "origin": None}]) == []
    assert tally([row | {"origin": 2}]) == [Tally(2, "grown", Verdicts(declined=1))]


def test_the_share_of_wrong_labels_leaves_open_ones_out() -> None:
    wrong = Verdicts(confirmed=9, declined=1, open=50).wrong
    assert (wrong.value, wrong.n) == (0.1, 10)
    assert Verdicts(open=3).wrong.value is None


@pytest.mark.parametrize(
    "damage", [{"kind": "human"}, {"iteration": -1}, {"open": "3"}, {"confirmed": None}, {"kind": None}]
)
def test_damaged_counts_are_rejected(damage: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="reviewed faces is damaged"):
        Tally.from_json(Tally(0, "grown", Verdicts(1, 2, 3, 4)).to_json() | damage)
