"""``watch.json``, and detection of bad iterations by gate and guards before their model becomes champion.

No network is trained: predictions are simulated. The filter, the evaluation on both yardsticks, the gate and
the guards are real.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lidloop.autolabel.refine import refine
from lidloop.data.dataset import Dataset, LabelVersion, write_initial
from lidloop.data.tables import read_faces, write_faces
from lidloop.drift.shape import fit_shape
from lidloop.drift.watch import summarise
from lidloop.evaluation.evaluate import evaluate_iteration
from lidloop.evaluation.promotion_gate import decide
from lidloop.labels import HUMAN, LabelSet
from lidloop.registry.steps import profile_of_human_labels
from tests.lidloop.drift.synthetic_faces import records_of, simulate, synthetic_faces

FACES = synthetic_faces(600, seed=11)
HIDDEN = 0.3
NOISE = 4.0
"""Error of a good model in px per point, on faces with about 110 px between the outer canthi."""


@dataclass
class Loop:
    """Iterations with simulated models."""

    root: Path
    dataset: Dataset
    labels: list[LabelVersion]
    evaluations: list[dict[str, Any]]
    watched: list[dict[str, Any]]

    @classmethod
    def start(cls, root: Path, *, sources: tuple[str, ...] = ("clinic", "ward")) -> Loop:
        dataset = Dataset.write(root / "dataset", records_of(FACES, sources), {"seed": 0})
        hidden = np.random.default_rng(1).random(len(FACES)) < HIDDEN
        given = FACES.select(~hidden)
        return cls(root, dataset, [write_initial(root / "v0", dataset, given)], [], [])

    def iterate(self, predictions: LabelSet) -> Loop:
        """Run one iteration whose model makes these predictions."""
        k = len(self.evaluations)
        shard = self.root / f"shard-{k}"
        write_faces(
            shard / "faces.parquet",
            predictions.reindex([r.id for r in self.dataset.records]),
            model=f"m{k}", iteration=str(k), dataset=self.dataset.digest,
        )  # fmt: skip
        before = self.labels[-1]
        after = refine(self.dataset, before, [shard], self.root / f"v{k + 1}", iteration=k)
        evaluation = evaluate_iteration(
            self.dataset, self.labels[0], before, [shard], self.root / f"evaluation-{k}", iteration=k,
            previous=self.root / f"evaluation-{k - 1}" if k else None,
        )  # fmt: skip
        trained_on = before.labels(self.dataset)
        self.watched.append(
            summarise(
                iteration=k,
                trained_on=trained_on,
                made=after.labels(self.dataset),
                predictions=read_faces(shard / "faces.parquet")[0],
                evaluation=evaluation,
                records=self.dataset.records,
                shape=fit_shape(trained_on.points[trained_on.origin == HUMAN]),
            )
        )
        self.labels.append(after)
        self.evaluations.append(evaluation)
        return self

    def promoted(self, champion: int | None = 0) -> tuple[bool, str]:
        """Decision of the gate on the newest model, and its reasons."""
        gold = [entry["gold"]["overall"] for entry in self.evaluations]
        decision = decide(gold[-1], None if champion is None else gold[champion])
        return decision.promote, "; ".join(decision.reasons)

    def tripped(self) -> dict[str, str]:
        return {name: g["why"] for name, g in self.watched[-1]["guards"].items() if g["tripped"]}


def good(iteration: int, *, noise: float = NOISE, **more: Any) -> LabelSet:
    return simulate(FACES, noise=noise, seed=100 + iteration, iteration=iteration, **more)


def confirming(loop: Loop, iteration: int, *, noise: float, share: float) -> LabelSet:
    """Predictions moved towards the grown labels by ``share`` of the distance."""
    labels = loop.labels[-1].labels(loop.dataset)
    grown = labels.select(labels.origin != HUMAN)
    found = good(iteration, noise=noise)
    row = {FACES.images[image]: k for k, image in enumerate(FACES.image.tolist())}
    at = [row[grown.images[image]] for image in grown.image.tolist()]
    points = found.points.copy()
    points[at, :, :2] += share * (grown.points - points[at])[..., :2]
    return LabelSet(found.images, found.image, found.boxes, points, found.origin, found.score)


@pytest.fixture(scope="module")
def two_iterations(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return Loop.start(tmp_path_factory.mktemp("loop")).iterate(good(0)).iterate(good(1, noise=0.9 * NOISE))


@pytest.fixture
def sound(two_iterations: Loop, tmp_path: Path) -> Loop:
    """Two good iterations, the second model slightly better. A copy per test, to add a third iteration."""
    loop = two_iterations
    root = Path(shutil.copytree(loop.root, tmp_path / "loop"))
    return Loop(root, loop.dataset, list(loop.labels), list(loop.evaluations), list(loop.watched))


def test_good_iterations_trip_no_guard_and_fill_watch_json(sound: Loop) -> None:
    assert sound.promoted()[0]
    assert sound.tripped() == {}
    first, second = sound.watched
    for k, watch in enumerate(sound.watched):
        assert json.loads(json.dumps(watch, allow_nan=False)) == watch
        assert watch["labels"] == sound.labels[k].info["counts"]
        assert watch["made"]["labels"] == sound.labels[k + 1].info["counts"]
        assert watch["made"]["label_version"] == k + 1
        by_source = watch["made"]["by_source"].values()
        assert sum(n for counts in by_source for n in counts.values()) == sound.labels[k + 1].info["total"]
        assert set(watch["sources"]) == {"clinic", "ward"}
        assert [m["iteration"] for m in watch["metrics"]] == list(range(k + 1))
    assert second["metrics"][1]["gold"]["nme_mean"] == sound.evaluations[1]["gold"]["overall"]["nme_mean"]
    assert [a["origin"] for a in second["agreement"]] == ["human", "0"]
    assert 0.2 < first["guards"]["grown_share"]["value"] < 0.4
    assert first["pairs"]["previous_current"]["faces"] == first["pairs"]["reference_current"]["faces"]
    names = set(first["pairs"]["reference_current"]["features"])
    assert {"box_size", "pfh_ratio_left", "shape_1", "faces_per_image"} <= names
    assert not {"confidence", "shape_residual"} & names
    for name in ("box_size", "position_x", "position_y", "roll"):
        assert first["pairs"]["human_grown"]["features"][name]["level"] == "stable", name


@pytest.mark.parametrize("pixels", [2, 5])
def test_gate_rejects_a_model_with_shifted_predictions(sound: Loop, pixels: float) -> None:
    sound.iterate(good(2, noise=0.9 * NOISE, shift=(0, pixels)))
    promoted, why = sound.promoted(champion=1)
    assert not promoted
    assert "NME" in why


@pytest.mark.parametrize("pixels", [3, 5])
def test_disagreement_guard_trips_on_shifted_predictions(sound: Loop, pixels: float) -> None:
    sound.iterate(good(2, noise=0.9 * NOISE, shift=(0, pixels)))
    assert set(sound.tripped()) == {"disagreement"}
    assert "iteration 0" in sound.tripped()["disagreement"]


def test_disagreement_guard_trips_on_labels_of_an_earlier_corrupted_model(tmp_path: Path) -> None:
    """The first model is corrupted, but the gate accepts it as there is no champion. The next model learns
    from human labels and the shifted ones, and is better: the gate alone would promote it."""
    loop = Loop.start(tmp_path).iterate(good(0, shift=(0, 5)))
    assert loop.promoted(champion=None)[0]
    loop.iterate(good(1, shift=(0, 1)))
    assert loop.promoted()[0], "it is better than the corrupted one"
    assert set(loop.tripped()) == {"disagreement"}


def test_gate_and_guard_stop_a_model_with_confirmation_bias(sound: Loop) -> None:
    """The model overfits the grown labels and gets worse on human labels."""
    sound.iterate(confirming(sound, 2, noise=1.05 * NOISE, share=0.5))
    assert not sound.promoted(champion=1)[0]
    assert set(sound.tripped()) == {"confirmation_bias"}


def test_concentration_guard_trips_on_growth_from_one_source(tmp_path: Path) -> None:
    loop = Loop.start(tmp_path)
    source = {r.id: r.source for r in loop.dataset.records}
    mine = np.array([source[FACES.images[k]] == "ward" for k in FACES.image])
    loop.iterate(good(0).select(mine))
    assert set(loop.tripped()) == {"source_concentration"}
    assert "source ward" in loop.tripped()["source_concentration"]


def test_live_reference_uses_validation_pictures(tmp_path: Path) -> None:
    dataset = Dataset.write(tmp_path / "dataset", records_of(FACES), {"seed": 0})
    profile = profile_of_human_labels(dataset, FACES, good(0))
    assert profile["faces"] == 600
    assert profile["live"]["faces"] == profile["live"]["images"] == 120
    assert profile["live"]["features"]["shape_residual"]["n"] == 120
