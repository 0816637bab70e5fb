"""Prometheus metrics of the server, for one process or several.

With ``PROMETHEUS_MULTIPROC_DIR`` set (BentoML sets it for its workers) every process writes its figures into
files there, and whichever is scraped adds them up. Labels come from small fixed sets; nothing that is
measured on a single face leaves as a figure of its own.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from lidloop.drift import (
    PER_IMAGE,
    Shape,
    bins,
    features,
    js_distance,
    ks_distance_of_counts,
    live_reference,
    psi,
)
from lidloop.labels import Face, Floats, LabelSet
from lidloop.screening.screen import ModelInfo, Screening

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
MIN_VALUES: Final = 100
"""Least number of values in the window for a PSI: of fewer, chance alone makes it large."""

_MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)
_WINDOW: Final = "lidloop_serving_window_values"


_DISTANCES: Final[dict[str, tuple[str, Callable[[Sequence[int], Sequence[int]], float]]]] = {
    "psi": ("Population stability index", psi),
    "js": ("Jensen-Shannon distance, base 2,", js_distance),
    "ks": ("Kolmogorov-Smirnov distance, looked at on the bins' edges,", ks_distance_of_counts),
}


disable_created_metrics()  # they double the number of series


class Window:
    """Sliding window of the last values of each feature, counted by the bins of a reference profile.

    Args:
        reference: ``reference_profile.json``.
        size: values kept per feature.
    """

    def __init__(self, reference: Mapping[str, Any], size: int) -> None:
        self.shape = Shape.from_json(reference.get("shape"))
        self._edges: dict[str, Sequence[float]] = {}
        self._values: dict[str, deque[int]] = {}
        self.reference: dict[str, list[int]] = {}
        for name, entry in live_reference(reference).items():
            if entry["n"]:
                self._edges[name] = entry["edges"]
                self._values[name] = deque(maxlen=size)
                self.reference[name] = entry["counts"]

    def push(self, values: Mapping[str, Floats]) -> list[tuple[str, int, int]]:
        """Add the values of a picture.

        Returns:
            Changes of the counts: feature, bin, and 1 or -1.
        """
        changes = []
        for name, kept in self._values.items():
            for value in bins(values[name], self._edges[name]) if name in values else ():
                if len(kept) == kept.maxlen:
                    changes.append((name, kept[0], -1))
                kept.append(int(value))
                changes.append((name, int(value), 1))
        return changes


class Metrics:
    """The metrics of one app.

    Args:
        window: faces in the sliding window.
        limit: requests that may be inside.
    """

    def __init__(self, *, window: int, limit: int) -> None:
        own = self._own = CollectorRegistry()
        name = "lidloop_serving_"
        self._requests = Counter(
            name + "requests", "Requests by route and outcome.", ["route", "outcome"], registry=own
        )
        self._seconds = Histogram(
            name + "request_seconds",
            "Time from a request's head to its answer's end.",
            ["route"],
            buckets=_SECONDS,
            registry=own,
        )
        self._stages = Histogram(
            name + "stage_seconds", "Time by stage.", ["stage"], buckets=_SECONDS, registry=own
        )
        self._faces = Histogram(
            name + "faces", "Faces in a picture.", buckets=(0, 1, 2, 3, 5, 10, 20, 50), registry=own
        )
        self._confidence = Histogram(
            name + "confidence", "Score of a face.", buckets=[0.05 * k for k in range(1, 21)], registry=own
        )
        self._withheld = Counter(
            name + "withheld",
            "Measurements withheld by reason, per eye.",
            ["measurement", "reason"],
            registry=own,
        )
        self._problems = Counter(
            name + "quality_problems", "Faces by what is wrong with their picture.", ["problem"], registry=own
        )
        self._flags = Counter(name + "flags", "Faces by level of the flag.", ["level"], registry=own)
        self._reasons = Counter(
            name + "flag_reasons", "Faces by reason of the flag.", ["reason", "level"], registry=own
        )
        self._model = Gauge(
            name + "model_info",
            "1 for the model that answers.",
            ["name", "version", "iteration", "digest"],
            multiprocess_mode="max",
            registry=own,
        )
        self._inside = Gauge(
            name + "requests_inside",
            "Requests running or waiting.",
            multiprocess_mode="livesum",
            registry=own,
        )
        Gauge(
            name + "requests_limit",
            "Requests that may run or wait.",
            multiprocess_mode="livesum",
            registry=own,
        ).set(limit)
        self._audit_failures = Counter(
            name + "audit_failures", "Audit lines that could not be written.", registry=own
        )
        self._window_counts = Gauge(
            _WINDOW,
            "Values in the sliding window by feature and bin of the reference profile.",
            ["feature", "bin"],
            multiprocess_mode="livesum",
            registry=own,
        )
        self._size = window
        self._lock = threading.Lock()
        self._window = Window({}, window)
        self._shown: tuple[str, ...] | None = None

    def serve(self, model: ModelInfo, reference: Mapping[str, Any]) -> None:
        """Set the model that answers, and start a new window against its reference profile."""
        labels = (model.name, model.version or "", str(model.iteration), model.digest[:12])
        window = Window(reference, self._size)  # raises for a malformed profile before anything changes
        with self._lock:
            if self._shown is not None:
                self._model.labels(*self._shown).set(0)
            self._model.labels(*labels).set(1)
            self._shown = labels
            for feature, counts in self._window.reference.items():
                for k in range(len(counts)):
                    self._window_counts.labels(feature, str(k)).set(0)
            self._window = window
            for feature, counts in self._window.reference.items():
                for k in range(len(counts)):
                    self._window_counts.labels(feature, str(k)).set(0)

    def request(self, route: str, outcome: str, seconds: float) -> None:
        """Count a request that has ended."""
        self._requests.labels(route, outcome).inc()
        self._seconds.labels(route).observe(seconds)

    def audit_failed(self) -> None:
        """Count an audit line that could not be written."""
        self._audit_failures.inc()

    def inside(self, change: int) -> None:
        """Count a request that was admitted (1) or has left (-1)."""
        self._inside.inc(change)

    def stages(self, seconds: Mapping[str, float]) -> None:
        """Observe the time of stages: ``wait``, ``decode``, ``detect``, ``measure``, ``answer``."""
        for stage, value in seconds.items():
            self._stages.labels(stage).observe(value)

    def screening(self, screening: Screening) -> None:
        """Observe the measurements of a picture."""
        self.faces([item.face for item in screening.faces], screening.width, screening.height)
        for item in screening.faces:
            self._flags.labels(item.flag.level).inc()
            for code in {reason.code for reason in item.flag.reasons}:
                self._reasons.labels(code, item.flag.level).inc()
            for problem in item.problems:
                self._problems.labels(problem.code).inc()
            for eye in item.eyes.values():
                for measurement, reason in eye.withheld.items():
                    self._withheld.labels(measurement, reason.code).inc()

    def faces(self, faces: Sequence[Face], width: int, height: int) -> None:
        """Observe the faces of a picture of ``width`` x ``height`` pixels."""
        self._faces.observe(len(faces))
        for face in faces:
            self._confidence.observe(face.score)
        window = self._window
        values = features(LabelSet.from_faces({"": faces}), {"": (width, height)}, shape=window.shape)
        if not faces:
            values = {PER_IMAGE: values[PER_IMAGE]}
        with self._lock:
            if window is not self._window:  # the model was exchanged meanwhile
                return
            for feature, k, change in window.push(values):
                self._window_counts.labels(feature, str(k)).inc(change)

    def exposition(self) -> bytes:
        """Return the metrics of all processes in Prometheus' text format."""
        registry = self._own
        if path := os.environ.get(_MULTIPROCESS):
            registry = CollectorRegistry()
            _remove_ended_processes(Path(path))
            MultiProcessCollector(registry)
        families = list(registry.collect())
        with self._lock:
            reference = dict(self._window.reference)
        return generate_latest(_Snapshot([*families, *_drift(families, reference)]))


class _Snapshot:
    """Collected families as a registry for ``generate_latest``."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _drift(families: Iterable[Metric], reference: Mapping[str, list[int]]) -> list[Metric]:
    """Return distances by feature between the windows of all processes and the reference profile."""
    counts = {feature: [0] * len(expected) for feature, expected in reference.items()}
    for family in families:
        for sample in family.samples if family.name == _WINDOW else ():
            feature, k = sample.labels["feature"], int(sample.labels["bin"])
            if k < len(counts.get(feature, ())):
                counts[feature][k] += int(sample.value)
    shares = GaugeMetricFamily(
        "lidloop_serving_reference_values",
        "Values of the model's reference profile by feature and bin.",
        labels=["feature", "bin"],
    )
    distances = {
        name: GaugeMetricFamily(
            f"lidloop_serving_drift_{name}",
            f"{words} of the sliding window against the model's reference profile; "
            f"absent under {MIN_VALUES} values.",
            labels=["feature"],
        )
        for name, (words, _) in _DISTANCES.items()
    }
    for feature, expected in reference.items():
        for k, count in enumerate(expected):
            shares.add_metric([feature, str(k)], count)
        if sum(counts[feature]) >= MIN_VALUES:
            for name, (_, distance) in _DISTANCES.items():
                distances[name].add_metric([feature], distance(expected, counts[feature]))
    return [shares, *distances.values()]


def _remove_ended_processes(folder: Path) -> None:
    """Remove ended processes from the sums of live ones; BentoML does not."""
    pids = {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*_*.db")}
    for pid in pids:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))
        except PermissionError:
            continue
