"""Pipeline steps at the registry: register the model of an iteration, and promote it by the gold gate."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.tables import read_faces
from lidloop.detection.detector import load_detector
from lidloop.drift import Shape, reference_profile
from lidloop.drift.compare import MIN_VALUES
from lidloop.drift.watch import summarise
from lidloop.errors import DatasetError, ModelError, RegistryError
from lidloop.evaluation.evaluate import read_evaluation
from lidloop.evaluation.gold import measure_on_gold
from lidloop.evaluation.promotion_gate import DEFAULT, Decision, Tolerances, decide
from lidloop.files import sha256
from lidloop.labels import HUMAN, LabelSet, concat
from lidloop.models.bundle import ONNX, WEIGHTS, model_files, seal
from lidloop.registry.registry import Registry
from lidloop.registry.versions import ModelVersion, line_of_champions
from lidloop.screening.screen import CONF as SCREENED

CONF: Final = 0.25
"""Default confidence threshold that a bundle carries."""

_log = logging.getLogger("lidloop")


def register_step(
    model_dir: Path,
    evaluation_dir: Path,
    dataset_dir: Path,
    labels_dir: Path,
    *,
    registry_uri: str,
    run: str,
    iteration: int,
    predictions: Sequence[Path] = (),
    grown_dir: Path | None = None,
    started_from: str | None = None,
) -> str:
    """Seal a trained model and register it; a second call returns the version of the first.

    The parent is the version of the iteration before, in the same run; that of iteration 0 is the version
    whose weights it started from.

    Args:
        model_dir: model folder straight from training.
        evaluation_dir: folder with this iteration's ``evaluation.json``.
        dataset_dir: the pictures.
        labels_dir: the label version that the model was trained on.
        registry_uri: folder or URI of the registry.
        run: id of the run.
        iteration: the iteration.
        predictions: shard folders of the auto-label step, for the reference profile: what is found later is
            compared with them.
        grown_dir: the label version that the iteration made. With it and predictions the bundle says what
            there is to watch (``lidloop.drift.watch``).
        started_from: version whose weights iteration 0 started from, if the registry holds it.

    Returns:
        The number of the version.

    Raises:
        ModelError: for a model folder, evaluation, dataset and labels that do not belong together.
        RegistryError: where the iteration before is not registered, or this one is with another model.
        DatasetError: for a dataset, labels or predictions that cannot be read, or grown labels that are not
            the version after the labels.
    """
    model = sha256(model_files(model_dir).onnx)
    registry = Registry(registry_uri)
    there = registry.find(run, iteration)
    if there is not None and there.model == model:
        return there.version
    dataset = Dataset.open(dataset_dir)
    labels = LabelVersion.open(labels_dir)
    evaluation = read_evaluation(evaluation_dir)
    evaluated = str(evaluation.get("model"))
    if len(evaluated) < 12 or not model.startswith(evaluated):
        raise ModelError(
            f"{evaluation_dir} evaluates another model than {model_dir / ONNX} "
            f"({evaluated[:12]}, not {model[:12]}); evaluate this one"
        )
    parent = started_from
    if iteration > 0:
        before = registry.find(run, iteration - 1)
        if before is None:
            raise RegistryError(
                f"iteration {iteration - 1} of run {run} is not registered, so iteration {iteration} has no "
                "parent; register them in order"
            )
        parent = before.version
    trained_on = labels.labels(dataset)
    found = concat([read_faces(d / "faces.parquet")[0] for d in predictions]) if predictions else None
    profile = profile_of_human_labels(dataset, trained_on, found)
    watch = None
    if grown_dir is not None and found is not None:
        watch = summarise(
            iteration=iteration,
            trained_on=trained_on,
            made=_version_after(labels, grown_dir).labels(dataset),
            predictions=found,
            evaluation=evaluation,
            records=dataset.records,
            label_version=labels.version,
            shape=Shape.from_json(profile["shape"]),
        )
        for name, guard in watch["guards"].items():
            if guard["tripped"]:
                _log.warning("iteration %d trips the guard %s: %s", iteration, name, guard["why"])
    with tempfile.TemporaryDirectory(prefix="lidloop-") as temporary:
        bundle = seal(
            model_dir,
            Path(temporary) / "bundle",
            evaluation=evaluation,
            profile=profile,
            watch=watch,
            run=run,
            iteration=iteration,
            parent=parent,
            dataset=dataset.digest,
            label_version=labels.version,
            labels=labels.info["counts"],
            conf=CONF,
        )
        return registry.register(bundle, run=run, iteration=iteration, parent=parent).version


def profile_of_human_labels(dataset: Dataset, labels: LabelSet, found: LabelSet | None) -> dict[str, Any]:
    """Reference profile of the faces that people labelled: version 0, whatever version is given.

    With predictions it also says how the model sees faces, from the score on that screening answers with:
    in the validation pictures, which it was not trained on, or in all where those show too few faces to
    compare with.
    """
    sizes = {record.id: (record.width, record.height) for record in dataset.records}
    human = labels.select(labels.origin == HUMAN)
    seen = None
    if found is not None:
        seen = every = found.select(found.score >= SCREENED)
        held_back = every.reindex([record.id for record in dataset.split("val")])
        if len(held_back) >= MIN_VALUES:
            seen = held_back
    return reference_profile(replace(human, score=np.full(len(human), np.nan)), sizes, seen=seen)


def _version_after(labels: LabelVersion, folder: Path) -> LabelVersion:
    after = LabelVersion.open(folder)
    if after.version != labels.version + 1:
        raise DatasetError(
            f"{folder} holds label version {after.version}; the iteration that trained on version "
            f"{labels.version} makes version {labels.version + 1}"
        )
    return after


def promote_step(
    registry_uri: str,
    version: str,
    *,
    dataset_dir: Path | None = None,
    gold_dir: Path | None = None,
    tolerances: Tolerances = DEFAULT,
) -> bool:
    """Make a version the champion if the gold gate accepts it; return True if it is the champion now.

    The answer and its reasons stay with the version (``ModelVersion.gate``).

    Args:
        registry_uri: folder or URI of the registry.
        version: the candidate.
        dataset_dir, gold_dir: the pictures that the candidate was trained and measured on, and their gold. A
            champion that was measured on another dataset, or on other gold, is measured on these before the
            gate compares the two; without them it stays.
        tolerances: of the gate.

    Raises:
        RegistryError: where there is no such version.
        ModelError: for a champion whose bundle is not what was registered.
        DatasetError: for a dataset or labels that cannot be read.
    """
    registry = Registry(registry_uri)

    def measure(champion: ModelVersion) -> Mapping[str, Any]:
        assert dataset_dir is not None
        assert gold_dir is not None
        gold = LabelVersion.open(gold_dir)
        return measure_version(registry, champion.version, Dataset.open(dataset_dir), [gold])[0]

    known = dataset_dir is not None and gold_dir is not None
    decision = consider(registry, version, tolerances=tolerances, measure=measure if known else None)
    if decision.promote:
        registry.promote(version, reason="; ".join(decision.reasons))
    return decision.promote


def measure_version(
    registry: Registry, version: str, dataset: Dataset, yardsticks: Sequence[LabelVersion]
) -> list[dict[str, Any]]:
    """Measure a registered model on yardsticks.

    Returns:
        Metrics overall, one dictionary for each yardstick.

    Raises:
        RegistryError: where there is no such version.
        ModelError: for a bundle that is not what was registered.
        DatasetError: for a validation picture that cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="lidloop-") as temporary:
        detector = load_detector(registry.download(version, Path(temporary) / "bundle").root)
        return [measure_on_gold(detector, dataset, labels) for labels in yardsticks]


@contextmanager
def champion_weights(registry_uri: str) -> Iterator[tuple[Path, str]]:
    """Yield the weights of the champion, a ``.pt`` file, and its version.

    Raises:
        RegistryError: where there is no registry or no champion.
        ModelError: for a bundle that is not what was registered, or has no weights.
    """
    registry = Registry(registry_uri, create=False)
    champion = registry.champion()
    if champion is None:
        raise RegistryError(
            f"{registry.place.shown} has no champion to start from; give the weights, as in "
            "--base-weights starter"
        )
    with tempfile.TemporaryDirectory(prefix="lidloop-") as temporary:
        weights = registry.download(champion.version, Path(temporary) / "bundle").root / WEIGHTS
        if not weights.is_file():
            raise ModelError(f"the bundle of version {champion.version} has no {WEIGHTS} to start from")
        yield weights, champion.version


def consider(
    registry: Registry,
    version: str,
    *,
    tolerances: Tolerances = DEFAULT,
    measure: Callable[[ModelVersion], Mapping[str, Any]] | None = None,
) -> Decision:
    """Decide by the gate whether a version replaces the champion, and store the decision in its tags.

    Three cases never reach the gate. The champion stays the champion. A version that somebody rolled back
    from is not promoted again by itself, or a pipeline started once more would undo a person's decision. And
    gold metrics of different datasets, or of different gold, are measured on different faces, so they say
    nothing about each other: such a champion stays, unless ``measure`` gives its metrics on the candidate's
    gold. The old champion may have been trained on some of those pictures, which only makes it harder to
    beat.
    """
    candidate = registry.get(version)
    champion = registry.champion()
    if champion is not None and champion.version == candidate.version:
        return Decision(True, ["it is the champion"])
    left = [c for c in registry.history() if c.action == "rollback" and c.previous == candidate.version]
    elsewhere = champion is not None and (champion.dataset, champion.gold_digest) != (
        candidate.dataset,
        candidate.gold_digest,
    )
    if left:
        decision = Decision(
            False,
            [f"it was rolled back from on {left[-1].at} ({left[-1].reason}); only a person promotes it"],
        )
    elif champion is not None and elsewhere and measure is None:
        decision = Decision(
            False,
            [
                f"champion {champion.version} was measured on another dataset ({champion.dataset[:12]}, not "
                f"{candidate.dataset[:12]}): their gold metrics cannot be compared"
                if champion.dataset != candidate.dataset
                else f"champion {champion.version} was measured on other gold labels: their metrics cannot "
                "be compared"
            ],
        )
    else:
        standard: Mapping[str, Any] | None = None if champion is None else champion.gold
        if champion is not None and elsewhere and measure is not None:
            _log.info("champion %s is measured on this run's gold", champion.version)
            standard = measure(champion)
        decision = decide(
            candidate.gold,
            standard,
            earlier=_earlier_champions(registry, candidate),
            tolerances=tolerances,
        )
    registry.note_gate(
        candidate.version,
        promote=decision.promote,
        reasons=decision.reasons,
        against=champion.version if champion else None,
    )
    _log.info(
        "version %s %s: %s",
        candidate.version,
        "promoted" if decision.promote else "not promoted",
        "; ".join(decision.reasons),
    )
    return decision


def _earlier_champions(registry: Registry, candidate: ModelVersion) -> list[Mapping[str, Any]]:
    """Metrics, on the candidate's gold, of the champions that led to the present one."""
    line = set(line_of_champions(registry.history()))
    measured = (candidate.dataset, candidate.gold_digest)
    return [
        v.gold for v in registry.versions() if v.version in line and (v.dataset, v.gold_digest) == measured
    ]
