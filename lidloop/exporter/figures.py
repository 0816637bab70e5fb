"""Conversion of readings of the registry and of the runs to samples of the metric families. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from lidloop.autolabel.candidates import REASONS
from lidloop.evaluation.intervals import Estimate, difference_of
from lidloop.exporter.families import BY_NAME
from lidloop.registry.versions import ModelVersion
from lidloop.report.data import YARDSTICKS, metrics_of
from lidloop.review.tally import NAMES as VERDICTS
from lidloop.review.tally import Tally, Verdicts

PAIRS: Final = ("reference_current", "previous_current", "human_grown")
GUARDS: Final = ("grown_share", "disagreement", "confirmation_bias", "source_concentration", "group_gap")
LEVELS: Final = ("stable", "moderate", "shifted")
"""Pairs, guards and levels of ``watch.json`` that have series; others are ignored."""
MAX_SOURCES: Final = 20
"""Largest number of collections of a dataset that have series: those with most faces."""
MAX_FEATURES: Final = 40

BOUNDS: Final = ("value", "low", "high")
"""Parts of an estimate that have series."""

_ORIGINS: Final = ("human", "grown")
_SPLITS: Final = ("train", "val")
_STATISTICS: Final = ("psi", "js", "ks")
_OUTCOMES: Final = tuple(reason for reason in REASONS if reason not in ("human", "existing"))
_UNSAFE: Final = re.compile(r"[^\w.:+ -]")


@dataclass(frozen=True, slots=True)
class LabelRecord:
    """Summary of a label version's ledger, from its ``version.json``.

    Attributes:
        version: number of the label version.
        model: digest of the model that made it; empty for version 0.
        counts: number of labels by split and origin.
        outcomes: number of predictions by outcome in the filter.
        reviews: faces that people have decided on until this version, by the iteration that found them.
        models: digest of the model of each of these iterations.
    """

    version: int
    model: str
    counts: Mapping[str, Mapping[str, int]]
    outcomes: Mapping[str, int]
    reviews: tuple[Tally, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run. ``state`` is ``running``, ``done``, ``failed``, ``stopped`` (by a user), or empty if not known;
    ``ended`` is a Unix time."""

    name: str
    state: str
    ended: float | None
    labels: tuple[LabelRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistryReading:
    """Snapshot of the registry.

    Attributes:
        versions: all readable versions, by rising number.
        evaluations: content of ``evaluation.json`` by version, of the newest version and the champion.
        watch: content of ``watch.json`` of the newest version (``lidloop.drift.watch``); None if it has none.
        left_out: number of versions and bundles that could not be read.
        certificate_ends: expiry of the server's certificate as a Unix time; None if not known.
        space: bytes of the disk by kind.
    """

    versions: Sequence[ModelVersion]
    evaluations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    watch: Mapping[str, Any] | None = None
    left_out: int = 0
    certificate_ends: float | None = None
    space: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunsReading:
    """Snapshot of the runs; ``left_out`` and ``space`` as in ``RegistryReading``."""

    runs: Sequence[RunRecord]
    left_out: int = 0
    space: Mapping[str, float] = field(default_factory=dict)


class Samples:
    """Values by family and label values. Values that are not finite numbers are ignored."""

    def __init__(self) -> None:
        """Start without samples."""
        self.values: dict[str, dict[tuple[str, ...], float]] = {}

    def add(self, family: str, *labels: object, value: Any) -> None:
        """Set one sample.

        Raises:
            ValueError: for an unknown family or a wrong number of labels.
        """
        if family not in BY_NAME or len(labels) != len(BY_NAME[family].labels):
            raise ValueError(f"{family} does not have {len(labels)} labels")
        if isinstance(value, int | float) and math.isfinite(value):
            self.values.setdefault(family, {})[tuple(map(_safe, labels))] = float(value)

    def update(self, other: Samples) -> None:
        """Add all samples of ``other``, which replace existing ones of the same labels."""
        for family, samples in other.values.items():
            self.values.setdefault(family, {}).update(samples)

    def __len__(self) -> int:
        return sum(len(samples) for samples in self.values.values())


def figures(
    registry: RegistryReading | None, runs: RunsReading | None, *, model: str, iterations: int
) -> Samples:
    """Return all samples except those about the exporter itself.

    Args:
        registry, runs: the last readings; None before the first.
        model: name of the registered model.
        iterations: number of newest iterations that have series.
    """
    samples = Samples()
    if runs is not None:
        _of_runs(samples, model, runs)
    if registry is not None and registry.versions:
        newest = registry.versions[-1]
        mine = {v.iteration: v for v in registry.versions if v.run == newest.run}
        mine = {k: mine[k] for k in sorted(mine)[-iterations:]}
        _labels(samples, model, mine, registry, runs)
        _reviews(samples, model, mine, runs)
        _drift(samples, model, _mapping(registry.watch))
        _evaluations(samples, model, mine, _history(registry.evaluations.get(newest.version)))
        _champion(samples, model, newest, registry)
        _newest_version_time(samples, model, newest)
    for source, reading in (("registry", registry), ("runs", runs)):
        for kind, value in reading.space.items() if reading else ():
            samples.add("store_bytes", source, kind, value=value)
    if registry is not None:
        samples.add("registry_certificate_expiry_timestamp_seconds", value=registry.certificate_ends)
    return samples


def _of_runs(samples: Samples, model: str, reading: RunsReading) -> None:
    known = [run for run in reading.runs if run.state]  # runs in a bucket have an end, but no state
    ended = [run for run in known or reading.runs if run.ended is not None and run.state != "running"]
    if ended:
        last = max(ended, key=lambda run: run.ended or 0.0)
        samples.add("last_run_timestamp_seconds", model, value=last.ended)
        if known:
            samples.add("last_run_failed", model, value=last.state == "failed")
    if known or not reading.runs:
        samples.add("runs_running", model, value=sum(run.state == "running" for run in known))


def _newest_version_time(samples: Samples, model: str, newest: ModelVersion) -> None:
    """Without runs, use the creation time of the newest version as the end of the last run."""
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
    """Add the labels that each iteration was trained on, and those that the last iteration made.

    A label version on disk is assigned to the iteration whose model made it, by the model's digest, as names
    of runs and folders are arbitrary.
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


def _reviews(
    samples: Samples, model: str, mine: Mapping[int, ModelVersion], runs: RunsReading | None
) -> None:
    """Add the faces that people have decided on, and the share of wrong ones among the grown labels.

    Counts include those of earlier versions, so of several versions the newest counts. They are assigned to
    iterations by the models' digests, as label versions are.
    """
    made_by = {v.model: v.iteration for v in mine.values()}
    records = [record for run in runs.runs for record in run.labels] if runs else []
    found: dict[tuple[str, int], Verdicts] = {}
    for record in sorted(records, key=lambda record: record.version):
        for one in record.reviews:
            iteration = made_by.get(record.models.get(str(one.iteration), ""))
            if iteration is not None:
                found[one.kind, iteration] = one.verdicts
    for (kind, iteration), verdicts in found.items():
        for name in VERDICTS:
            samples.add("reviewed_faces", model, iteration, kind, name, value=getattr(verdicts, name))
    grown = {iteration: found[kind, iteration] for kind, iteration in sorted(found) if kind == "grown"}
    decided = {iteration: verdicts for iteration, verdicts in grown.items() if verdicts.wrong.n}
    for iteration, verdicts in decided.items():
        _estimate(samples, "wrong_labels_ratio", model, iteration, estimate=verdicts.wrong)
    if len(decided) > 1:
        *earlier, newest = decided.values()
        rise = difference_of(newest.wrong, sum(earlier, Verdicts()).wrong)
        _estimate(samples, "wrong_labels_rise_ratio", model, estimate=rise)


def _estimate(samples: Samples, family: str, *labels: object, estimate: Estimate) -> None:
    for bound in BOUNDS:
        samples.add(family, *labels, bound, value=getattr(estimate, bound))


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
    """Yield yardstick, metric and value; from the registry's tags if the evaluation could not be read."""
    for yardstick in YARDSTICKS:
        overall = _mapping(_mapping(entry.get(yardstick)).get("overall"))
        for metric, value in metrics_of(
            overall or (_mapping(version.gold) if yardstick == "gold" else {})
        ).items():
            yield yardstick, metric, value


def _history(evaluation: Mapping[str, Any] | None) -> dict[int, Mapping[str, Any]]:
    """Return the evaluations of a run by iteration, from ``iterations`` of the newest evaluation."""
    content = _mapping(evaluation)
    entries = content.get("iterations")
    found = [*(entries if isinstance(entries, list) else []), content]
    return {e["iteration"]: e for e in map(_mapping, found) if isinstance(e.get("iteration"), int)}


def _mapping(value: Any) -> Mapping[str, Any]:
    """Return ``value`` if it is a mapping, else an empty one, so that damaged content has no series."""
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _safe(value: object) -> str:
    """Sanitise a label value: at most 80 characters, none of which can form a path."""
    return _UNSAFE.sub("_", str(value))[:80]
