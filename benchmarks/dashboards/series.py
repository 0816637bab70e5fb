"""Artificial data for rules and dashboards: two hours of an installation, as it is scraped.

The server's part comes from its own metrics (``serving.metrics``), fed with faces of the drawn model; the
loop's part from the exporter's own figures of a registry (``lidloop.exporter.figures``), with the numbers of
the run in ``docs/reports/data/results.json``. So series and labels here have the names that the code gives.

What happens: after 40 minutes a run registers a better champion. After 70 minutes the pictures begin to show
smaller faces with lower lids, which the champion does not know. In the last 20 minutes more come in than can
be answered in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from benchmarks.dashboards.loop_series import Reading, readings
from lidloop.drift import reference_profile
from lidloop.labels import Face, LabelSet, box_of
from lidloop.screening.screen import ModelInfo
from lidloop.synthetic.geometry import Expression, Pose, build
from lidloop.synthetic.people import sample_identity
from serving.metrics import Metrics

END: Final = 1_767_614_400  # 2026-01-05 12:00 UTC
SECONDS: Final = 2 * 3600
STEP: Final = 60
RUN_ENDS: Final = END - 80 * 60
SHIFT: Final = END - 50 * 60
BUSY: Final = END - 20 * 60
INSTANCES: Final = ("10.0.0.4:8080", "10.0.0.5:8080")
EXPORTER: Final = "10.0.0.9:9108"
PICTURES: Final = 8
"""Pictures per minute and instance before the shift."""

SIZE: Final = (640, 480)
_POOL: Final = 300

Sample = tuple[str, float, float]
"""Series in Prometheus' notation (name and labels), Unix time, value."""


def samples(seed: int = 0) -> Iterator[Sample]:
    """All samples."""
    rng = np.random.default_rng(seed)
    usual = [_face(rng, shifted=False) for _ in range(_POOL)]
    other = [_face(rng, shifted=True) for _ in range(_POOL)]
    for instance in INSTANCES:
        yield from _server(rng, usual, other, instance)
    for reading in readings(usual, other, begin=END - SECONDS, end=END, change=RUN_ENDS):
        yield from _exporter(reading)
    for job, instance in (*(("serving", instance) for instance in INSTANCES), ("exporter", EXPORTER)):
        for at in range(END - SECONDS, END + 1, STEP):
            yield _labelled("up", job, instance), at, 1.0


def open_metrics(found: Iterable[Sample]) -> str:
    """The samples in the format of ``promtool tsdb create-blocks-from openmetrics``."""
    rows = sorted(found, key=lambda sample: (sample[0], sample[1]))
    return "".join(f"{name} {value!r} {at}\n" for name, at, value in rows) + "# EOF\n"


def _labelled(series: str, job: str, instance: str) -> str:
    """A series with the labels that a scrape adds."""
    name, _, labels = series.rstrip("}").partition("{")
    own = f",{labels}" if labels else ""
    return f'{name}{{namespace="eyes",job="{job}",instance="{instance}"{own}}}'


def _face(rng: np.random.Generator, *, shifted: bool) -> Face:
    """A detected face; shifted ones are smaller, with lower lids and lower confidence."""
    ptosis = float(np.clip(rng.normal(0.22 if shifted else 0.08, 0.15), 0.0, 0.95))
    model = build(sample_identity(rng), Expression(), (ptosis, ptosis))
    scale = float(rng.normal(1.28 if shifted else 1.4, 0.2))
    origin = (float(rng.normal(320, 40)), float(rng.normal(200, 30)))
    yaw, pitch, roll = (float(v) for v in rng.normal(0.0, (10, 5, 4)))
    pose = Pose(yaw, pitch, roll, scale=max(scale, 0.4), origin=origin)
    points = np.concatenate([pose.project(model.points), np.full((51, 1), 2.0)], axis=1)
    score = float(np.clip(rng.normal(0.83 if shifted else 0.86, 0.06), 0.5, 0.99))
    return Face(box=box_of(points), points=points, score=score)


def _server(
    rng: np.random.Generator, usual: list[Face], other: list[Face], instance: str
) -> Iterator[Sample]:
    """Samples of one instance at each scrape."""
    metrics = Metrics(window=300, limit=11)
    labels = LabelSet.from_faces({str(k): [face] for k, face in enumerate(usual)})
    profile = reference_profile(labels, dict.fromkeys(labels.images, SIZE))
    for at in range(END - SECONDS, END + 1, STEP):
        if at in (END - SECONDS, RUN_ENDS):
            version, digest = ("4", "d") if at < RUN_ENDS else ("8", "e")
            metrics.serve(ModelInfo("lidloop", version, 3, digest * 64), profile)
        inside = _minute(rng, metrics, usual if at < SHIFT else other, busy=at > BUSY)
        metrics.inside(inside)
        for line in metrics.exposition().decode().splitlines():
            if not line.startswith("#"):
                series, _, value = line.rpartition(" ")
                yield _labelled(series, "serving", instance), at, float(value)
        metrics.inside(-inside)


def _exporter(reading: Reading) -> Iterator[Sample]:
    """Samples of the exporter between two readings of its sources."""
    for name, value in reading.figures.items():
        series = _labelled(name, "exporter", EXPORTER)
        for at in range(reading.begin, reading.end, STEP):
            yield series, at, value
    for source in ("registry", "runs"):
        name = f'lidloop_exporter_source_timestamp_seconds{{source="{source}"}}'
        for at in range(reading.begin, reading.end, STEP):
            yield _labelled(name, "exporter", EXPORTER), at, at - 20.0


def _minute(rng: np.random.Generator, metrics: Metrics, faces: list[Face], *, busy: bool) -> int:
    """Requests of one minute.

    Returns:
        Requests that are inside at its end.
    """
    for _ in range(PICTURES * (2 if busy else 1)):
        face = faces[int(rng.integers(len(faces)))]
        kind = rng.random()
        if busy and kind < 0.05:
            metrics.request("/v1/screen", "busy", 0.002)
        elif kind < 0.07:
            metrics.request("/v1/screen", "media-type", 0.003)
        else:
            detect = float(rng.gamma(20, 0.0025))
            wait = float(rng.exponential(0.35 if busy else 0.005))
            parts = {"wait": wait, "decode": 0.012, "detect": detect, "measure": 0.006, "answer": 0.001}
            metrics.stages(parts)
            metrics.request("/v1/screen", "ok", sum(parts.values()))
            metrics.screening(_screening(rng, face))
    for probe in ("/livez", "/readyz"):
        metrics.request(probe, "ok", 0.001)
    return int(rng.integers(3, 11)) if busy else int(rng.integers(0, 2))


def _screening(rng: np.random.Generator, face: Face) -> Any:
    """The parts of a screening that metrics use."""
    droopy = face.score < 0.82
    shares = (0.4, 0.4, 0.2) if droopy else (0.9, 0.08, 0.02)
    level = str(rng.choice(["none", "suspicious", "functional"], p=shares))
    withheld = {"mrd1": SimpleNamespace(code="no-pupil")} if rng.random() < 0.2 else {}
    problems = [SimpleNamespace(code="small")] if droopy and rng.random() < 0.3 else []
    item = SimpleNamespace(
        face=face,
        flag=SimpleNamespace(level=level, reasons=()),
        problems=problems,
        eyes={"OD": SimpleNamespace(withheld=withheld), "OS": SimpleNamespace(withheld={})},
    )
    return SimpleNamespace(faces=[item], width=SIZE[0], height=SIZE[1])
