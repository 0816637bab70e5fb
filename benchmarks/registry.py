"""All measurements of ``python -m benchmarks``, in the order of the page."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks import (
    auto_label,
    detection,
    exporter,
    filter,
    overhead,
    service,
    sigma,
    soak,
    tracking,
    unlabelled,
)
from benchmarks.common import Row
from benchmarks.measurements import measure as measurements
from benchmarks.scale import report as scale


@dataclass(frozen=True)
class Measurement:
    """One measurement.

    Attributes:
        run: measures, and returns a report that is JSON. Its keyword arguments are the sizes; it also gets
            those of ``model``, ``run_dir``, ``stored`` and ``progress`` that it declares.
        rows: rows of the table from a report.
        notes: name of the template of its remarks in ``pages/notes``.
        quick: sizes that only prove that it runs.
        constants: what ``notes`` shows besides the report.
        long: True if it is only measured when it is named, since it takes longer than all others together.
    """

    run: Callable[..., dict[str, Any]]
    rows: Callable[[Mapping[str, Any]], list[Row]]
    notes: str
    quick: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    long: bool = False

    def unknown(self, sizes: Mapping[str, Any]) -> list[str]:
        """Names that are no arguments of ``run``."""
        return sorted(set(sizes) - set(inspect.signature(self.run).parameters))

    def measure(self, sizes: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
        """Call ``run`` with some sizes, and with what of ``context`` it declares."""
        declared = inspect.signature(self.run).parameters
        return self.run(**{name: value for name, value in context.items() if name in declared}, **sizes)


MEASUREMENTS: Final = {
    "auto_label": Measurement(
        auto_label.run, auto_label.rows, "auto_label", {"pictures": 10, "imgsz": 256, "repeat": 1},
        {"flip_margin": auto_label.FLIP_MARGIN},
    ),
    "detection": Measurement(
        detection.run, detection.rows, "detection", {"pictures": 2, "imgsz": 256, "repeat": 1, "judged": 10}
    ),
    "filter": Measurement(filter.run, filter.rows, "filter", {"images": 2000, "repeat": 1}),
    "measurements": Measurement(
        measurements.run, measurements.rows, "measurements",
        {"faces": 4, "demo_faces": 4, "real": 4, "repeat": 3},
    ),
    "service": Measurement(
        service.run, service.rows, "service",
        {"imgsz": 256, "rounds": 2, "seconds": 3.0, "starts": 1, "size": False},
    ),
    "exporter": Measurement(
        exporter.run, exporter.rows, "exporter", {"iterations": 3, "labels": 1000, "scrapes": 5}
    ),
    "tracking": Measurement(tracking.run, tracking.rows, "tracking", {"imgsz": 256, "pairs": 4, "warm": 2}),
    "soak": Measurement(
        soak.run, soak.rows, "soak", {"imgsz": 256, "minutes": 0.25, "mutated": 50},
        {"clients": soak.CLIENTS}, long=True,
    ),
    "sigma": Measurement(
        sigma.run, sigma.rows, "sigma", {"annotations": 40, "imgsz": 96, "epochs": 3, "factor": 1}
    ),
    "unlabelled": Measurement(
        unlabelled.run, unlabelled.rows, "unlabelled", {"pictures": 20, "imgsz": 96, "epochs": (1,)}
    ),
    "unlabelled_real": Measurement(
        unlabelled.run_real, unlabelled.rows, "unlabelled",
        {"imgsz": 96, "epochs": (1,), "start_pictures": 20, "start_epochs": 1},
    ),
    "overhead": Measurement(overhead.run, overhead.rows, "overhead"),
    "scale": Measurement(scale.run, scale.rows, "scale", {"sizes": (200, 400)}),
}  # fmt: skip
