"""Exporter figures of a registry and its runs for ``series``: one reading before a run's end, one after.

The figures by iteration are those of the run in ``docs/reports/data/results.json`` (for the run before it,
errors are 4 % larger); drift between labels is computed from drawn faces; the reviews are made up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from benchmarks.common import DATA, DOCS
from lidloop.drift import features
from lidloop.drift.compare import compare
from lidloop.exporter.families import BY_NAME
from lidloop.exporter.figures import LabelRecord, RegistryReading, RunRecord, RunsReading, Samples, figures
from lidloop.labels import Face, LabelSet
from lidloop.registry.versions import ModelVersion
from lidloop.report.data import METRICS
from lidloop.review.tally import Tally, Verdicts

SUMMARY: Final = DOCS / DATA / "results.json"
RUNS: Final = ("week-01", "week-02")
REVIEWS: Final = (
    Tally(0, "dropped", Verdicts(confirmed=2, declined=31)),
    Tally(0, "grown", Verdicts(confirmed=55, corrected=6, declined=4, open=2)),
    Tally(1, "grown", Verdicts(confirmed=20, corrected=2, declined=2)),
    Tally(2, "grown", Verdicts(confirmed=14, corrected=1, declined=1, open=1)),
)
_SIZE: Final = (640, 480)
_DAY: Final = 86400


@dataclass(frozen=True)
class Reading:
    """Figures by series (name and labels), and the interval in which they are scraped, as Unix times."""

    begin: int
    end: int
    figures: Mapping[str, float]


def readings(
    human: Sequence[Face], grown: Sequence[Face], *, begin: int, end: int, change: int
) -> Iterator[Reading]:
    """Return two readings: before ``change`` the second run is running, then it has ended."""
    summary = json.loads(SUMMARY.read_text())
    watch = _watch(summary, human, grown)
    before = _versions(summary, RUNS[0], 1, ended=change - 7 * _DAY, champion="4")
    after = [*before[:-1], *_versions(summary, RUNS[1], 5, ended=change, champion="8")]
    for since, until, versions in ((begin, change, before), (change, end + 1, after)):
        working = versions is before
        newest = versions[-1]
        worse = 1.04 if working else 1.0
        registry = RegistryReading(
            versions,
            evaluations={newest.version: _evaluation(summary, worse)},
            watch=watch,
            certificate_ends=end + 60.0 * _DAY,
            space={"size": 500e9, "free": 320e9},
        )
        grown = [
            LabelRecord(v["version"], newest_model(newest.run, v["version"] - 1), _counts(v), _outcomes(v))
            for v in summary["versions"][1:]
        ]
        models = {str(one.iteration): newest_model(newest.run, one.iteration) for one in REVIEWS}
        labels = (*grown, LabelRecord(len(grown) + 1, "", {}, {}, REVIEWS, models))
        ends = (change - 7 * _DAY, None if working else change)
        runs = [
            RunRecord(name, "done" if at else "running", at, labels if name == newest.run else ())
            for name, at in zip(RUNS, ends, strict=True)
        ]
        found = figures(
            registry, RunsReading(runs, space={"size": 200e9, "free": 90e9}), model="lidloop", iterations=100
        )
        yield Reading(since, until, _named(_about(found)))


def newest_model(run: str, iteration: int) -> str:
    """Digest of the model of a run's iteration."""
    return f"{run}-{iteration}"


def _about(found: Samples) -> Samples:
    """Add the figures of the exporter about itself, except for the times of readings."""
    for source in ("registry", "runs"):
        found.add("exporter_source_up", source, value=1)
        found.add("exporter_read_seconds", source, value=0.4)
        found.add("exporter_left_out", source, value=0)
        for reason in ("unreachable", "refused", "damaged", "timeout", "other"):
            found.add("exporter_errors", source, reason, value=0)
    return found


def _named(found: Samples) -> dict[str, float]:
    """Values by series in Prometheus' notation."""
    return {
        f"{BY_NAME[family].full_name}{_braces(BY_NAME[family].labels, values)}": value
        for family, samples in found.values.items()
        for values, value in samples.items()
    }


def _braces(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = [f'{name}="{value}"' for name, value in zip(names, values, strict=True)]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _counts(version: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    grown = version["grown_by_split"]
    return {
        split: {"human": version[split] - grown[split], "grown": grown[split]} for split in ("train", "val")
    }


def _outcomes(version: Mapping[str, Any]) -> dict[str, int]:
    return {**version["dropped"], "grown": version["accepted"]}


def _versions(
    summary: Mapping[str, Any], run: str, first: int, *, ended: float, champion: str
) -> list[ModelVersion]:
    """Model versions of a run, one for each iteration."""
    made = []
    for entry, labels in zip(summary["iterations"], summary["versions"][:-1], strict=True):
        iteration = entry["iteration"]
        version = str(first + iteration)
        made.append(
            ModelVersion(
                version=version,
                run=run,
                iteration=iteration,
                parent=None,
                champion=version == champion,
                dataset=summary["dataset"]["digest"],
                label_version=iteration,
                labels=_counts(labels),
                gold=_sources(entry["metrics"]["gold"], 1.0),
                created=datetime.fromtimestamp(ended, UTC).isoformat(),
                model=newest_model(run, iteration),
                bundle="b",
                mlflow_run="m",
            )
        )
    return made


def _sources(metrics: Mapping[str, float], worse: float) -> dict[str, float]:
    """Metrics by the names of ``evaluation.json``, with errors multiplied by ``worse``."""
    return {
        metric.source: metrics[metric.key] * (1.0 if metric.more_is_better else worse) for metric in METRICS
    }


def _evaluation(summary: Mapping[str, Any], worse: float) -> dict[str, Any]:
    """The newest version's ``evaluation.json``."""
    entries = []
    for entry in summary["iterations"]:
        made: dict[str, Any] = {"iteration": entry["iteration"]}
        for yardstick in ("gold", "paper"):
            by_source = {
                source: {"faces": found["faces"], **_sources(found, worse)}
                for source, found in entry["by_source"][yardstick].items()
            }
            overall = {**entry["faces"][yardstick], **_sources(entry["metrics"][yardstick], worse)}
            made[yardstick] = {"overall": overall, "by_source": by_source}
        entries.append(made)
    return {**entries[-1], "iterations": entries[:-1]}


def _watch(summary: Mapping[str, Any], human: Sequence[Face], grown: Sequence[Face]) -> dict[str, Any]:
    """The parts of the newest version's ``watch.json`` that are read: one grown face for four human ones."""
    few = list(grown[: len(human) // 4])
    of_human, of_grown, of_all = (_features(faces) for faces in (human, few, [*human, *few]))
    of_previous = _features([*human, *few[:-8]])
    pairs = {
        "reference_current": (of_human, of_all),
        "previous_current": (of_previous, of_all),
        "human_grown": (of_human, of_grown),
    }
    last = summary["versions"][-1]
    share = last["grown"] / last["total"]
    guards = {"grown_share": (share, 0.5), "disagreement": (0.006, 0.02), "confirmation_bias": (-0.03, 0.02)}
    guards["source_concentration"] = (0.31, 0.8)
    return {
        "format": 1,
        "pairs": {
            name: {
                "faces": [len(first["box_size"]), len(second["box_size"])],
                "features": compare(first, second),
            }
            for name, (first, second) in pairs.items()
        },
        "guards": {
            name: {"value": value, "threshold": limit, "tripped": value > limit}
            for name, (value, limit) in guards.items()
        },
        "made": {"label_version": last["version"], "labels": _counts(last)},
    }


def _features(faces: Sequence[Face]) -> dict[str, Any]:
    labels = LabelSet.from_faces({str(k): [face] for k, face in enumerate(faces)})
    found = features(labels, dict.fromkeys(labels.images, _SIZE))
    return {name: values for name, values in found.items() if name != "confidence"}
