"""Effect of decisions on label versions, and refused decisions."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidloop.autolabel.refine import refine
from lidloop.data.dataset import LabelVersion, Retention
from lidloop.data.reviews import declined_boxes, read_reviews
from lidloop.data.tables import write_faces
from lidloop.errors import DatasetError
from lidloop.labels import HUMAN, Floats
from lidloop.landmarks import FLIP
from lidloop.review.apply import import_decisions
from lidloop.review.decisions import Decision, DecisionFile
from lidloop.review.faces import read_faces_to_review
from lidloop.review.plan import Report
from tests.lidloop.review.conftest import Run

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def decide(run: Run, row: int, verdict: str, points: Floats | None = None, **other: object) -> Decision:
    given = None if points is None else [(float(x), float(y), int(v)) for x, y, v in points]
    content = {
        "face": run.faces.ids[row],
        "image": run.image(row),
        "verdict": verdict,
        "points": given,
        "at": NOW,
    }
    return Decision(**{**content, **other})


def moved(run: Run, row: int, by: float = 1.5) -> Floats:
    points = run.faces.all.points[row].copy()
    points[points[:, 2] > 0, :2] += by
    record = run.dataset.by_id[run.image(row)]
    points[:, :2] = np.clip(points[:, :2], 0, [record.width, record.height])
    return points


def lines(version: LabelVersion, image: str) -> list[bytes]:
    return version.text(image).splitlines()


def apply(
    run: Run, out: Path, *files: DecisionFile, labels: LabelVersion | None = None
) -> tuple[LabelVersion, Report]:
    named = {f"{k}.json": file for k, file in enumerate(files)}
    return import_decisions(run.dataset, labels or run.labels, named, out, predictions=run.predictions)


def test_a_confirmed_label_becomes_human_and_keeps_its_bytes(run: Run, tmp_path: Path) -> None:
    row = run.row("grown")
    image, line = run.image(row), lines(run.labels, run.image(row))[run.faces.line[row]]
    version, report = apply(run, tmp_path / "v2", run.file(decide(run, row, "confirmed")))
    assert version.version == 2
    assert report.counts == {"confirmed": 1}
    labels = version.labels(run.dataset)
    at = lines(version, image).index(line)
    face = labels.of(image)[at]
    assert (face.origin, face.score) == (HUMAN, 1.0)
    assert version.info["total"] == run.labels.info["total"]
    human = [f.origin == HUMAN for f in labels.of(image)]
    assert human == sorted(human, reverse=True)


def test_a_corrected_label_is_replaced_and_its_old_line_is_kept(run: Run, tmp_path: Path) -> None:
    for kind in ("grown", "human"):
        row = run.row(kind)
        image, old = run.image(row), lines(run.labels, run.image(row))[run.faces.line[row]]
        points = moved(run, row)
        file = run.file(decide(run, row, "corrected", points, reviewer="Ada", note="lid"))
        version, _ = apply(run, tmp_path / kind, file)
        assert old not in lines(version, image)
        (entry,) = read_reviews(version)
        assert (entry["before"].encode(), entry["reviewer"], entry["tool"]) == (old, "Ada", "test")
        assert datetime.fromisoformat(entry["at"]) == NOW
        seen = points[:, 2] > 0
        found = [f.points for f in version.labels(run.dataset).of(image) if f.origin == HUMAN]
        assert min(np.abs(f[seen] - points[seen]).max() for f in found) < 0.01
        rows = version.ledger().filter(pc.equal(version.ledger()["reason"], "corrected"))
        assert sorted(rows["line"].to_pylist())[0] == -1
        assert rows.num_rows == 2
        assert "Ada" not in (version.root / "version.json").read_text()


def test_labels_without_a_decision_keep_their_bytes(run: Run, tmp_path: Path) -> None:
    row = run.row("grown")
    version, _ = apply(run, tmp_path / "v2", run.file(decide(run, row, "declined")))
    for record in run.dataset.records:
        before = lines(run.labels, record.id)
        if record.id == run.image(row):
            del before[run.faces.line[row]]
        assert lines(version, record.id) == before


def grown_again(run: Run, version: LabelVersion, folder: Path, retention: Retention) -> LabelVersion:
    """The version that the filter makes of a reviewed one, from the predictions of the run."""
    write_faces(
        folder / "shard" / "faces.parquet", run.predictions, model="n" * 64, iteration="2",
        dataset=run.dataset.digest,
    )  # fmt: skip
    return refine(
        run.dataset, version, [folder / "shard"], folder / "v3", iteration=2, retention=retention,
        min_points_inside=20,
    )  # fmt: skip


@pytest.mark.parametrize("retention", ["accumulate", "relabel"])
def test_a_declined_face_is_not_grown_again(run: Run, tmp_path: Path, retention: Retention) -> None:
    row = run.row("grown")
    version, _ = apply(run, tmp_path / "v2", run.file(decide(run, row, "declined")))
    grown = grown_again(run, version, tmp_path, retention)
    ledger = grown.ledger()
    assert ledger.filter(pc.equal(ledger["reason"], "declined"))["image"].to_pylist() == [run.image(row)]
    box = run.faces.all.boxes[row]
    assert all(np.abs(f.box - box).max() > 2 for f in grown.labels(run.dataset).of(run.image(row)))
    assert list(declined_boxes(read_reviews(grown))) == [run.image(row)]
    shown = read_faces_to_review(run.dataset, grown, run.predictions)
    assert run.faces.ids[row] not in shown.ids


def test_relabelling_keeps_confirmed_labels(run: Run, tmp_path: Path) -> None:
    row = run.row("grown")
    line = lines(run.labels, run.image(row))[run.faces.line[row]]
    version, _ = apply(run, tmp_path / "v2", run.file(decide(run, row, "confirmed")))
    grown = grown_again(run, version, tmp_path, "relabel")
    assert line in lines(grown, run.image(row))
    assert grown.info["counts"] != version.info["counts"] or grown.info["total"] == version.info["total"]


def test_a_dropped_face_becomes_human_with_the_points_of_its_prediction(run: Run, tmp_path: Path) -> None:
    row = run.row("dropped")
    version, _ = apply(run, tmp_path / "v2", run.file(decide(run, row, "confirmed")))
    assert version.info["total"] == run.labels.info["total"] + 1
    known = [f for f in version.labels(run.dataset).of(run.image(row)) if f.origin == HUMAN]
    seen = known[-1].points[:, 2] > 0
    assert np.abs(known[-1].points[seen, :2] - run.faces.all.points[row, seen, :2]).max() < 0.01
    with pytest.raises(DatasetError, match="points of this dropped face are not known"):
        import_decisions(
            run.dataset, run.labels, {"a": run.file(decide(run, row, "confirmed"))}, tmp_path / "none"
        )


def test_the_same_file_twice_gives_once(run: Run, tmp_path: Path) -> None:
    file = run.file(decide(run, run.row("grown"), "declined"), decide(run, run.row("grown", 1), "confirmed"))
    version, _ = apply(run, tmp_path / "v2", file)
    again, report = apply(run, tmp_path / "v3", file, labels=version)
    assert again is version
    assert report.already == 2
    assert not (tmp_path / "v3").exists()


def test_people_who_disagree_are_both_kept_and_change_nothing(run: Run, tmp_path: Path) -> None:
    row = run.row("grown")
    files = [
        run.file(decide(run, row, "confirmed", reviewer="Ada")),
        run.file(decide(run, row, "declined", reviewer="Ben"), session="s2"),
    ]
    version, report = apply(run, tmp_path / "v2", *files)
    assert report.disputes == (run.faces.ids[row],)
    assert {r["reviewer"]: r["outcome"] for r in read_reviews(version)} == {
        "Ada": "disputed",
        "Ben": "disputed",
    }
    assert lines(version, run.image(row)) == lines(run.labels, run.image(row))
    later = decide(run, row, "declined", reviewer="Ada", at=NOW + timedelta(days=1))
    settled, _ = apply(run, tmp_path / "v3", run.file(later, session="s3"), labels=version)
    assert settled.info["total"] == version.info["total"] - 1


def test_a_later_decision_of_the_same_person_counts(run: Run, tmp_path: Path) -> None:
    row = run.row("grown")
    first, second = decide(run, row, "declined"), decide(run, row, "confirmed", at=NOW + timedelta(hours=1))
    version, _ = apply(run, tmp_path / "v2", run.file(first))
    back, _ = apply(run, tmp_path / "v3", run.file(second), labels=version)
    line = lines(run.labels, run.image(row))[run.faces.line[row]]
    assert line not in lines(version, run.image(row))
    assert line in lines(back, run.image(row))
    assert declined_boxes(read_reviews(back)) == {}


def test_a_correction_can_be_corrected_under_the_first_id(run: Run, tmp_path: Path) -> None:
    row = run.row("grown")
    version, _ = apply(run, tmp_path / "v2", run.file(decide(run, row, "corrected", moved(run, row))))
    later = decide(run, row, "corrected", moved(run, row, 4.0), at=NOW + timedelta(hours=1))
    again, _ = apply(run, tmp_path / "v3", run.file(later), labels=version)
    assert again.info["total"] == run.labels.info["total"]
    assert [r["outcome"] for r in read_reviews(again)] == ["applied", "applied"]


def test_a_face_added_by_two_people_is_one_face(run: Run, tmp_path: Path) -> None:
    row = run.row("dropped")
    points = run.faces.all.points[row]
    record = run.dataset.by_id[run.image(row)]
    points[:, :2] = np.clip(points[:, :2], 0, [record.width, record.height])
    added = decide(run, row, "added", points, face="", reviewer="Ada")
    other = decide(run, row, "added", points + np.array([0.2, 0, 0]), face="", reviewer="Ben")
    version, report = apply(run, tmp_path / "v2", run.file(added), run.file(other, session="s2"))
    assert version.info["total"] == run.labels.info["total"] + 1
    assert report.outcomes == {"applied": 1, "agreed": 1}


def _bad(run: Run, case: str) -> DecisionFile:
    row = run.row("grown")
    good = decide(run, run.row("grown", 1), "confirmed")
    if case == "another dataset":
        return run.file(good, dataset="0" * 64)
    if case == "unknown picture":
        return DecisionFile(**{**run.file(good).model_dump(), "decisions": [
            good, decide(run, row, "declined", image="nowhere")]})  # fmt: skip
    if case == "changed picture":
        return run.file(good, pictures={good.image: "0" * 64})
    if case == "unknown face":
        return run.file(good, decide(run, row, "declined", face=f"{run.image(row)}:000000000000"))
    if case == "another picture's face":
        elsewhere = next(r.id for r in run.dataset.records if r.id != run.image(row))
        return run.file(good, decide(run, row, "declined", image=elsewhere))
    if case == "outside":
        far = run.faces.all.points[row] + np.array([5000, 0, 0])
        return run.file(good, decide(run, row, "corrected", far))
    if case == "sides":
        return run.file(good, decide(run, row, "corrected", run.faces.all.points[row][list(FLIP)]))
    if case == "on another":
        labels = np.flatnonzero(run.faces.is_label).tolist()
        first, second = next(
            (a, b) for a, b in itertools.combinations(labels, 2)
            if run.image(a) == run.image(b) and run.faces.all.points[b, :, 2].all()
        )  # fmt: skip
        return run.file(good, decide(run, first, "corrected", run.faces.all.points[second]))
    return run.file(good, labels=9)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("another dataset", "another dataset"),
        ("unknown picture", "no picture nowhere"),
        ("changed picture", "not the one that was reviewed"),
        ("unknown face", "neither this version nor an earlier one"),
        ("another picture's face", "is not in picture"),
        ("outside", "outside the picture"),
        ("sides", "left and right are exchanged"),
        ("on another", "lies on another label"),
        ("later version", "label version 9"),
    ],
)
def test_one_wrong_decision_refuses_all(run: Run, tmp_path: Path, case: str, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        apply(run, tmp_path / "v2", _bad(run, case))
    assert not (tmp_path / "v2").exists()


@settings(max_examples=6)
@given(order=st.permutations(range(4)), split=st.integers(0, 4))
def test_the_order_of_files_and_decisions_does_not_matter_and_twice_gives_once(
    run: Run, tmp_path_factory: pytest.TempPathFactory, order: list[int], split: int
) -> None:
    made = [
        decide(run, run.row("grown"), "confirmed", reviewer="Ada"),
        decide(run, run.row("grown"), "corrected", moved(run, run.row("grown"), 8.0), reviewer="Ben"),
        decide(run, run.row("grown", 1), "declined"),
        decide(run, run.row("dropped"), "confirmed"),
    ]
    chosen = [made[k] for k in order]
    place = tmp_path_factory.mktemp("order")
    files = [part for part in (chosen[:split], chosen[split:]) if part]
    version, _ = apply(run, place / "v2", *(run.file(*part) for part in files))
    again, report = apply(run, place / "v3", run.file(*made), labels=version)
    assert again is version
    assert report.already == len(made)
    plain, _ = apply(run, place / "plain", run.file(*made))
    assert [version.text(r.id) for r in run.dataset.records] == [
        plain.text(r.id) for r in run.dataset.records
    ]


def test_files_that_are_no_decisions_are_refused_with_the_place(tmp_path: Path, run: Run) -> None:
    from lidloop.review.decisions import parse_decisions

    good = run.file(decide(run, run.row("grown"), "declined")).model_dump_json()
    assert parse_decisions(good.encode(), where="x").decisions[0].verdict == "declined"
    for wrong, place in [
        (good.replace('"declined"', '"deleted"'), "decisions.0.verdict"),
        (good.replace('"format":1', '"format":2'), "format"),
        (good.replace('"points":null', '"points":[[1,2,2]]'), "decisions.0.points"),
        (good.replace('"note":""', '"note":5'), "decisions.0.note"),
        (good.replace('"labels":1', '"labels":1,"path":"../x"'), "path"),
        ("[" * 100000, "the document"),
        ("NaN", "the document"),
    ]:
        assert wrong != good
        with pytest.raises(DatasetError, match=place):
            parse_decisions(wrong.encode(), where="x")


def test_every_pair_of_verdicts_has_one_outcome() -> None:
    from lidloop.review.opinions import Opinion, settle

    for a, b in itertools.product(("declined", "unsure"), repeat=2):
        outcomes = settle([Opinion("a", NOW, a, b""), Opinion("b", NOW, b, b"")])
        assert outcomes.count("applied") == ("declined" in (a, b))
