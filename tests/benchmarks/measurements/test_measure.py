from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common import REAL_FACES
from benchmarks.measurements import measure as measurements
from benchmarks.measurements import real_lids
from benchmarks.measurements.measure import (
    EyeError,
    band_table,
    base_face,
    errors_of,
    line,
    perturbed,
    severity_table,
)
from benchmarks.pages.markdown import render
from lidloop.eyes.margins import margins_from_landmarks
from lidloop.eyes.network import info
from lidloop.landmarks import LEFT_EYE
from lidloop.synthetic import draw_face


@pytest.fixture(scope="module")
def report() -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(REAL_FACES, raising=False)
        return measurements.run(faces=2, demo_faces=1, repeat=1)


def error(**change) -> EyeError:
    plain = {
        "group": "g", "severity": "none", "side": "OD", "method": "pixels", "pfh": 0.001, "mrd1": 0.002,
        "mrd2": 0.003, "width": 0.004, "landmarks_pfh": 0.02, "landmarks_mrd1": 0.03,
        "mm": {"pfh": (0.1, 0.2)}, "scale": "iris",
        "scale_off": {"iris": 0.01}, "withheld": {}, "lid_quality": 0.9,
    }  # fmt: skip
    return EyeError(**{**plain, **change})


def test_a_report_is_json_and_renders(report: dict) -> None:
    stored = json.loads(json.dumps(report, allow_nan=False))
    assert render("measurements/page.md.j2", measured="2026-01-01", quick=True, report=stored)
    assert [row.met is not None for row in measurements.rows(stored)] == [True] * 3


def test_every_sweep_has_its_groups(report: dict) -> None:
    assert {name: len(groups) for name, groups in measurements.sweeps().items()} == {
        name: len(lines) for name, lines in report["tables"].items()
    }
    assert [entry["eyes"] for entry in report["tables"]["roll"]] == [4, 4, 4]
    assert [entry["group"] for entry in report["severity"]][-1] == "all"


def test_measured_seeds_were_not_trained_on() -> None:
    """Training, calibration and its check use a million seeds each, all below the measured ones."""
    used = (info()["training"]["seed"], info()["calibration"]["seed"], info()["unseen"]["seed"])
    assert max(used) * 1_000_000 + 999_999 < measurements.SEED


@pytest.mark.parametrize("severity", measurements.SEVERITIES)
def test_faces_have_the_asked_degree(severity: str) -> None:
    for seed in range(3):
        asked = base_face(measurements.SEED + seed, severity, "right")
        found = errors_of(asked, severity, perturbed)
        assert [e.side for e in found] == ["OD", "OS"]
        assert found[0].severity == "none"
        assert found[1].severity == severity


def test_withheld_measurements_are_counted_by_reason() -> None:
    hidden = error(pfh=None, mrd1=None, withheld={"pfh": "blurred", "mrd1": "blurred"}, method="landmarks")
    found = line("x", [error(), error(pfh=0.003), hidden, hidden])
    assert found["pfh"] == [0.2, 0.28]
    assert (found["pixels"], found["withheld_pfh"], found["reasons"]) == (0.5, 0.5, {"blurred": 2})
    assert line("x", [hidden])["pfh"] is None
    assert line("none at all", [])["eyes"] == 0


def test_severities_are_split_by_side() -> None:
    table = severity_table([error(), error(side="OS", severity="severe", pfh=0.01)])
    assert {entry["group"]: entry["eyes"] for entry in table if entry["eyes"]} == {
        "none, OD": 1, "severe, OS": 1, "all": 2,
    }  # fmt: skip


def test_shares_within_the_band() -> None:
    table = band_table([error(mm={"pfh": (off, 0.2)}) for off in (0.1, -0.3, 0.5, -0.2)])
    assert len(table) == 1
    assert (table[0]["inside"], table[0]["inside_twice"], table[0]["band_mm"]) == (0.5, 0.75, 0.2)


def test_scales_are_counted_once_a_face() -> None:
    table = measurements.scale_table({"g": [error(), error(), error(scale_off={"iris": -0.03})]})
    assert [(row["scale"], row["faces"], row["mean"]) for row in table] == [
        ("iris", 2, -1.0), ("outer-canthal", 0, None),
    ]  # fmt: skip


def annotated(folder: Path, count: int) -> None:
    """Write drawn faces in the format of the real ones."""
    import cv2

    for k in range(count):
        picture = draw_face(seed=k, canthal_px=120, size=(300, 300))
        cv2.imwrite(str(folder / f"{k}.png"), picture.image[..., ::-1])
        rows = [f"{x + 1:.3f} {y + 1:.3f}" for x, y, _ in picture.faces[0].points]
        (folder / f"{k}.pts").write_text("\n".join([*["0 0"] * 17, *rows]))


def test_real_faces_are_compared_with_their_human_lids(tmp_path: Path) -> None:
    annotated(tmp_path, 3)
    (tmp_path / "broken.pts").write_text("1 2\n3")
    found = real_lids.real_faces(tmp_path, faces=5, seed=0)
    assert (found["eyes"], found["pixels"]) == (6, 1.0)
    lids = found["lines"][0]
    assert lids["found"][0] < 0.4 < lids["rough"][0]
    assert abs(lids["above"]) < 0.4
    assert abs(lids["below"]) < 0.4


def test_distance_to_a_polyline() -> None:
    curve = np.array([[0.0, 0], [10, 0], [10, 10]])
    assert real_lids.distance_to(np.array([5.0, 3]), curve) == pytest.approx(3)
    assert real_lids.distance_to(np.array([-3.0, -4]), curve) == pytest.approx(5)


def test_offsets_are_positive_where_the_margin_lies_above() -> None:
    points = draw_face(seed=1, canthal_px=100, size=(240, 240)).faces[0].points
    margins = margins_from_landmarks(points, LEFT_EYE)
    raised = points.copy()
    for pair in LEFT_EYE.lid_pairs:
        raised[list(pair), 1] += 2  # the human points lie lower than the margins
    for upper in (True, False):
        assert real_lids._offset(raised, LEFT_EYE, margins, upper=upper) == pytest.approx(2, abs=0.2)
