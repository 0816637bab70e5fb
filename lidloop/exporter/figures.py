"""Samples of the families from what was read of the registry and of the runs. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from lidloop.autolabel.candidates import REASONS
from lidloop.exporter.families import BY_NAME
from lidloop.registry.versions import ModelVersion
from lidloop.report.data import YARDSTICKS, metrics_of

PAIRS: Final = ("reference_current", "previous_current", "human_grown")
GUARDS: Final = ("grown_share", "disagreement", "confirmation_bias", "source_concentration")
LEVELS: Final = ("stable", "moderate", "shifted")
"""What ``watch.json`` speaks of; another word in it has no series."""
MAX_SOURCES: Final = 20
"""Most collections of a dataset that have series of their own: those with most faces."""
MAX_FEATURES: Final = 40

_ORIGINS: Final = ("human", "grown")
_SPLITS: Final = ("train", "val")
_STATISTICS: Final = ("psi", "js", "ks")
_OUTCOMES: Final = tuple(reason for reason in REASONS if reason not in ("human", "existing"))
_UNSAFE: Final = re.compile(r"[^\w.:+ -]")


@dataclass(frozen=True, slots=True)
class LabelRecord:
    """What ``version.json`` of a label version tells of its ledger.

    Attributes:
        version: its number. model: digest of the model that made it; empty for version 0.
        counts: its labels by split and origin. outcomes: predictions by what became of them.
    """

    version: int
    model: str
    counts: Mapping[str, Mapping[str, int]]
    outcomes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run. ``state`` is ``running``, ``done``, ``failed``, ``stopped`` (by a person), or empty where
    that is not known; ``ended`` is a Unix time."""

    name: str
    state: str
    ended: float | None
    labels: tuple[LabelRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistryReading:
    """The registry at one moment.

    Attributes:
        versions: all that can be read, by rising number.
        evaluations: content of ``evaluation.json`` by version, of the newest one and the champion.
        watch: content of the newest version's ``watch.json`` (``lidloop.drift.watch``); None where it has
            none.
        left_out: how much could not be read.
        certificate_ends: Unix time. space: bytes of the disk by kind.
    """

    versions: Sequence[ModelVersion]
    evaluations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    watch: Mapping[str, Any] | None = None
    left_out: int = 0
    certificate_ends: float | None = None
    space: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunsReading:
    """The runs at one moment; see ``RegistryReading`` for the rest."""

    runs: Sequence[RunRecord]
    left_out: int = 0
    space: Mapping[str, float] = field(default_factory=dict)


class Samples:
    """Values by family and label values. What is no finite number is left out, and so is no series twice."""

    def __init__(self) -> None:
        """Hold none."""
        self.values: dict[str, dict[tuple[str, ...], float]] = {}

    def add(self, family: str, *labels: object, value: Any) -> None:
        """Set one sample.

        Raises:
            ValueError: for an unknown family or another number of labels than it has.
        """
        if family not in BY_NAME or len(labels) != len(BY_NAME[family].labels):
            raise ValueError(f"{family} does not have {len(labels)} labels")
        if isinstance(value, int | float) and math.isfinite(value):
            self.values.setdefault(family, {})[tuple(map(_safe, labels))] = float(value)

    def update(self, other: Samples) -> None:
        """Take over another's samples; where both have one, the other's."""
        for family, samples in other.values.items():
            self.values.setdefault(family, {}).update(samples)

    def __len__(self) -> int:
        return sum(len(samples) for samples in self.values.values())


def figures(
    registry: RegistryReading | None, runs: RunsReading | None, *, model: str, iterations: int
) -> Samples:
    """All samples but those about the exporter itself.

    Args:
        registry, runs: what was read last; None where nothing was yet.
        model: name of the registered model.
        iterations: how many have series, the newest ones.
    """
    samples = Samples()
    if runs is not None:
        _of_runs(samples, model, runs)
    if registry is not None and registry.versions:
        newest = registry.versions[-1]
        mine = {v.iteration: v for v in registry.versions if v.run == newest.run}
        mine = {k: mine[k] for k in sorted(mine)[-iterations:]}
        _labels(samples, model, mine, registry, runs)
        _drift(samples, model, _mapping(registry.watch))
        _evaluations(samples, model, mine, _history(registry.evaluations.get(newest.version)))
        _champion(samples, model, newest, registry)
        _made(samples, model, newest)
    for source, reading in (("registry", registry), ("runs", runs)):
        for kind, value in reading.space.items() if reading else ():
            samples.add("store_bytes", source, kind, value=value)
    if registry is not None:
        samples.add("registry_certificate_expiry_timestamp_seconds", value=registry.certificate_ends)
    return samples


def _of_runs(samples: Samples, model: str, reading: RunsReading) -> None:
    told = [run for run in reading.runs if run.state]  # those of a bucket have ends, but no states
    ended = [run for run in told or reading.runs if run.ended is not None and run.state != "running"]
    if ended:
        last = max(ended, key=lambda run: run.ended or 0.0)
        samples.add("last_run_timestamp_seconds", model, value=last.ended)
        if told:
            samples.add("last_run_failed", model, value=last.state == "failed")
    if told or not reading.runs:
        samples.add("runs_running", model, value=sum(run.state == "running" for run in told))


def _made(samples: Samples, model: str, newest: ModelVersion) -> None:
    """Where nobody tells of runs, the newest version was made at about the end of one."""
    if "last_run_timestamp_seconds" in samples.values:
        return
    try:
        made = datetime.fromisoformat(newest.created).timestamp()
    except ValueError:
        return
    samples.add("last_run_timestamp_seconds", model, value=made)


def _labels(
    samples: Samples,
    model: str,
    mine: Mapping[int, ModelVersion],
    registry: RegistryReading,
    runs: RunsReading | None,
) -> None:
    """Labels that each iteration was trained on, and those that the last one made.

    A label version on disk belongs to the iteration whose model made it: its digest says so, whatever the run
    and its folder are called.
    """
    made_by = {v.model: v.iteration for v in mine.values()}
    for record in (record for run in runs.runs for record in run.labels) if runs else ():
        iteration = made_by.get(record.model)
        if iteration is None:
            continue
        _counts(samples, model, iteration + 1, record.counts)
        for outcome, n in record.outcomes.items():
            if outcome in _OUTCOMES:
                samples.add("filter_predictions", model, iteration, outcome, value=n)
    for iteration, version in mine.items():
        _counts(samples, model, iteration, version.labels)
    made = _mapping(_mapping(registry.watch).get("made"))
    if made and mine:
        _counts(samples, model, max(mine) + 1, made.get("labels"))


def _counts(samples: Samples, model: str, iteration: int, counts: Any) -> None:
    for split in _SPLITS:
        for origin in _ORIGINS:
            value = _mapping(_mapping(counts).get(split)).get(origin)
            samples.add("labels", model, split, origin, iteration, value=value)


def _drift(samples: Samples, model: str, watch: Mapping[str, Any]) -> None:
    pairs, guards = _mapping(watch.get("pairs")), _mapping(watch.get("guards"))
    for pair in PAIRS:
        entry = _mapping(pairs.get(pair))
        faces = entry.get("faces")
        if isinstance(faces, list) and len(faces) == 2:
            for group, n in zip(("first", "second"), faces, strict=True):
                samples.add("label_drift_faces", model, pair, group, value=n)
        for feature, found in list(_mapping(entry.get("features")).items())[:MAX_FEATURES]:
            found = _mapping(found)
            for statistic in _STATISTICS:
                samples.add("label_drift", model, pair, feature, statistic, value=found.get(statistic))
            samples.add("label_drift_pvalue", model, pair, feature, value=found.get("p_corrected"))
            samples.add("label_drift_limit", model, pair, feature, value=found.get("psi_limit"))
            if found.get("level") in LEVELS:
                level = LEVELS.index(found["level"])
                samples.add("label_drift_level", model, pair, feature, value=level)
    for guard in GUARDS:
        entry = _mapping(guards.get(guard))
        samples.add("guard", model, guard, value=entry.get("value"))
        samples.add("guard_threshold", model, guard, value=entry.get("threshold"))
        samples.add("guard_tripped", model, guard, value=entry.get("tripped"))


def _evaluations(
    samples: Samples, model: str, mine: Mapping[int, ModelVersion], history: Mapping[int, Mapping[str, Any]]
) -> None:
    for iteration, version in mine.items():
        entry = history.get(iteration, {})
        for yardstick, metric, value in _figures_of(version, entry):
            samples.add("evaluation", model, iteration, yardstick, metric, value=value)
        by_source = _mapping(_mapping(entry.get("gold")).get("by_source"))
        largest = sorted(by_source, key=lambda name: -_number(_mapping(by_source[name]).get("faces")))
        for source in largest[:MAX_SOURCES]:
            value = _mapping(by_source[source]).get("lid_error_mean")
            samples.add("source_lid_error_ratio", model, iteration, source, value=value)


def _champion(samples: Samples, model: str, newest: ModelVersion, registry: RegistryReading) -> None:
    champion = next((v for v in registry.versions if v.champion), None)
    if champion is not None:
        samples.add("champion_info", model, champion.version, champion.iteration, champion.run, value=1)
    for family, version in (("champion_evaluation", champion), ("candidate_evaluation", newest)):
        if version is not None:
            entry = _history(registry.evaluations.get(version.version)).get(version.iteration, {})
            for yardstick, metric, value in _figures_of(version, entry):
                samples.add(family, model, yardstick, metric, value=value)


def _figures_of(version: ModelVersion, entry: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yardstick, metric and value. Where the evaluation could not be read there is what the tags hold."""
    for yardstick in YARDSTICKS:
        overall = _mapping(_mapping(entry.get(yardstick)).get("overall"))
        for metric, value in metrics_of(
            overall or (_mapping(version.gold) if yardstick == "gold" else {})
        ).items():
            yield yardstick, metric, value


def _history(evaluation: Mapping[str, Any] | None) -> dict[int, Mapping[str, Any]]:
    """Evaluations of a run by iteration, from the newest one, which carries them all."""
    content = _mapping(evaluation)
    entries = content.get("iterations")
    found = [*(entries if isinstance(entries, list) else []), content]
    return {e["iteration"]: e for e in map(_mapping, found) if isinstance(e.get("iteration"), int)}


def _mapping(value: Any) -> Mapping[str, Any]:
    """What was read and should be an object, or an empty one: what is damaged has no series."""
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _safe(value: object) -> str:
    """A label's value: short, and without what could be a path."""
    return _UNSAFE.sub("_", str(value))[:80]
