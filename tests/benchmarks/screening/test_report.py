"""Figures of the screening page from made-up rows, and the page itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.common import DATA, DOCS, FIGURES
from benchmarks.screening.groups import groups_of
from benchmarks.screening.measure import AS_IT_WAS, RANDOM
from benchmarks.screening.page import PAGE, STORED, interval, screening_page
from benchmarks.screening.report import judge, report_of
from benchmarks.screening.rows import Row, from_json, read_rows, to_json, write_rows
from benchmarks.screening.rule import rule_now, rule_of_before
from benchmarks.screening.targets import targets_of
from lidloop.evaluation.intervals import share_of
from lidloop.screening.measurements import FaceMeasurement, Side
from lidloop.screening.ptosis import measure_face
from lidloop.synthetic import draw_face

FACTS: dict[str, Any] = {
    "typology_angle": 45.0, "nme": 0.04, "lid_error": 0.01, "glasses": "none", "degrees": [0.0, 0.0],
    "pitch": 1.0, "roll": 2.0, "gaze": 3.0, "blur": 0.0, "noise": 1.0, "exposure": 1.0, "opening": 1.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def measured() -> FaceMeasurement:
    drawn = draw_face(seed=3, size=(430, 430), canthal_px=180)
    return measure_face(drawn.image, drawn.faces[0].face())


def with_lids(measured: FaceMeasurement, od: float, os_: float) -> dict[str, Any]:
    """The measurement as JSON, its lids at so many millimetres above the pupils, 4 px a millimetre."""
    stored = to_json(measured)
    for side, mm in (("OD", od), ("OS", os_)):
        for name, height in (("mrd1", mm), ("pfh", mm + 5)):
            stored["eyes"][side]["lengths"][name] |= {
                "px": 4 * height, "mm": height, "mm_error": 0.3, "method": "pixels",
            }  # fmt: skip
    for name in ("mrd1", "pfh"):
        stored["differences"][name] = {
            "px": 4 * (od - os_), "mm": round(od - os_, 2), "mm_error": 0.3, "method": "pixels",
        }  # fmt: skip
    return {**stored, "problems": []}


@pytest.fixture(scope="module")
def rows(measured: FaceMeasurement) -> list[Row]:
    """20 people of each source as they were, and with OD lowered by 2 mm; drawn faces of each degree."""
    out = []
    for source in ("afw", "helen", "lfpw"):
        for k in range(20):
            before = Row(
                name=f"{source}/{k}", source=source, group=AS_IT_WAS, made_px={}, made_mm={}, low=(),
                target=True, canthal_px=120.0, yaw=0.0, sharpness=0.1, facts=FACTS, found=True, score=0.9,
                measured=with_lids(measured, 4.5, 4.5 + 0.02 * k),
            )  # fmt: skip
            out.append(before)
            for group, low in (("one side", ("OD",)), ("both sides", ("OD", "OS"))):
                for mm in (0.5, 1.0, 1.5, 2.0, 3.0):
                    od, os_ = 4.5 - mm, 4.5 + 0.02 * k - (mm if "OS" in low else 0)
                    made: dict[Side, float] = dict.fromkeys(low, mm)
                    out.append(replace(
                        before, group=group, low=low, made_mm=made,
                        made_px={side: 4 * value for side, value in made.items()},
                        measured=with_lids(measured, od, os_),
                    ))  # fmt: skip
    out.append(replace(out[0], name="afw/missed", found=False, score=None, measured=None))
    for severity, mm in (("none", 4.5), ("mild", 4.0), ("moderate", 2.5), ("severe", 0.5), (RANDOM, 4.5)):
        low = () if severity in ("none", RANDOM) else ("OD",)
        out += [
            replace(out[0], name=f"drawn-{severity}-{k}", source="drawn", group=severity, low=low,
                    measured=with_lids(measured, mm, 4.5))
            for k in range(5)
        ]  # fmt: skip
    return out


@pytest.fixture(scope="module")
def report(rows: list[Row]) -> dict[str, Any]:
    judged = judge(rows)
    healthy = [j for j in judged if j.row.group == AS_IT_WAS]
    return report_of(judged) | {"groups": groups_of(healthy, [j for j in judged if j.row.source == "drawn"])}


def test_a_stored_measurement_is_judged_like_the_measurement_itself(measured: FaceMeasurement) -> None:
    again = from_json(json.loads(json.dumps(to_json(measured))))
    assert rule_now(again)[:2] == (measured.flag.level, measured.flag.sides)
    assert again.eyes["OD"].lengths == measured.eyes["OD"].lengths
    assert again.differences == measured.differences


def test_rows_survive_their_file(rows: list[Row], tmp_path: Path) -> None:
    write_rows(rows, tmp_path / "rows.parquet")
    again = read_rows(tmp_path / "rows.parquet")
    assert [r.name for r in again] == [r.name for r in rows]
    assert again[1] == replace(rows[1], measured=again[1].measured)
    assert again[-1].low == rows[-1].low


def test_the_rule_of_before_flags_by_the_estimate_alone(measured: FaceMeasurement) -> None:
    def level(od: float, os_: float) -> tuple[str, tuple[str, ...]]:
        return rule_of_before(from_json(with_lids(measured, od, os_)))[:2]

    assert level(4.5, 4.5) == ("none", ())
    assert level(3.9, 4.5) == ("suspicious", ("OD",))
    assert level(2.0, 4.5) == ("functional", ("OD",))
    assert level(7.0, 4.5) == ("suspicious", ("OS",))
    unknown = with_lids(measured, 4.5, 4.5)
    del unknown["eyes"]["OS"]["lengths"]["mrd1"]
    unknown["differences"] = {}
    assert rule_of_before(from_json(unknown)).level == "undetermined"


def test_the_slope_of_lids_that_fell_as_made_is_one(report: dict[str, Any]) -> None:
    for line in report["slopes"]:
        assert line["slope"]["value"] == pytest.approx(1, abs=1e-3)
        assert line["lids"] == line["people"] * 15


def test_faces_not_found_are_not_judged_and_named(report: dict[str, Any]) -> None:
    line = next(line for line in report["who"] if line["group"] == "targets")
    assert line["faces"] == 61
    assert line["reasons"]["not found"] == 1
    assert line["found"]["value"] == pytest.approx(60 / 61, abs=1e-4)


def test_lids_lowered_by_2_mm_are_flagged_on_their_side(report: dict[str, Any]) -> None:
    line = next(
        line for line in report["sensitivity"]
        if (line["part"], line["group"], line["mm"]) == ("held back", "one side", 2.0)
    )  # fmt: skip
    assert line["faces"] == 20
    assert line["now"]["right"]["value"] == 1
    assert report["false_flags"][0]["now"]["flagged"]["value"] == 0


def test_a_larger_threshold_gives_no_more_false_flags(report: dict[str, Any]) -> None:
    for points in report["curve"].values():
        specificity = [p["specificity"]["value"] for p in points]
        assert specificity == sorted(specificity)


def test_targets_are_met_by_faces_that_are_easy(report: dict[str, Any]) -> None:
    targets = targets_of(report)
    assert all(target.met for target in targets), [t for t in targets if not t.met]
    missed = json.loads(json.dumps(report))
    missed["false_flags"][1]["now"]["flagged"] = {"value": 0.2, "low": 0.1, "high": 0.3, "n": 20}
    assert [t.met for t in targets_of(missed)].count(False) == 1


def test_the_page_is_made_of_the_stored_figures(report: dict[str, Any], tmp_path: Path) -> None:
    assert screening_page(tmp_path) is None
    entry = {
        "format": 1, "measured": "2026-12-01", "machine": {}, "seed": 1, "model": "m", "report": report,
    }  # fmt: skip
    (tmp_path / DATA).mkdir(parents=True)
    (tmp_path / DATA / STORED).write_text(json.dumps(entry, allow_nan=False))
    made = screening_page(tmp_path)
    assert made is not None
    text = made.read_text()
    assert "| drawn severe ptosis: flagged, of all of them | 100 % (57–100) | ≥ 95 % | met |" in text
    assert "| skin tone | light | 61 |" in text
    assert (tmp_path / FIGURES / "screening-curve.svg").read_bytes().startswith(b"<?xml")


def test_intervals_are_written_with_their_unit() -> None:
    assert interval(share_of(9, 10)._asdict()) == "90 % (60–98)"
    assert interval({"value": 0.923, "low": 0.883, "high": 0.968}, 2, percent=False) == "0.92 (0.88–0.97)"
    assert interval({"value": None, "low": None, "high": None}) == "–"


def test_the_published_page_is_that_of_its_figures(tmp_path: Path) -> None:
    stored = DOCS / DATA / STORED
    if not stored.exists():
        pytest.skip("the screening has not been measured yet")
    (tmp_path / DATA).mkdir(parents=True)
    (tmp_path / DATA / STORED).write_bytes(stored.read_bytes())
    made = screening_page(tmp_path)
    assert made is not None
    assert made.read_text() == (DOCS / PAGE).read_text()


def test_no_name_of_a_person_and_no_path_is_published() -> None:
    stored = DOCS / DATA / STORED
    if not stored.exists():
        pytest.skip("the screening has not been measured yet")
    text = stored.read_text()
    assert "image_" not in text
    assert "trainset" not in text
    assert np.isfinite(json.loads(text)["report"]["faces"])
