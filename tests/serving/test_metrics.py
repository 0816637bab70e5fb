"""Prometheus metrics of one process and of several."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from lidloop.drift import psi, reference_profile
from lidloop.errors import LidloopError
from lidloop.screening.screen import ModelInfo
from serving.metrics import MIN_VALUES, Metrics, Window
from serving.model import Served
from tests.lidloop.drift.synthetic_faces import sizes_of, synthetic_faces
from tests.serving.conftest import ClientFactory, Photo

PNG = {"Content-Type": "image/png"}


def samples(client: TestClient) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    return parse(response.text)


def parse(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name.removeprefix("lidloop_serving_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def key(metric: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return metric, frozenset(labels.items())


def test_a_screening_is_counted(make_client: ClientFactory, photo: Photo, blank: bytes) -> None:
    client = make_client()
    answer = client.post("/v1/screen", content=photo.png, headers=PNG).json()
    client.post("/v1/screen", content=blank, headers=PNG)
    client.post("/v1/screen", content=b"x", headers=PNG)
    client.get("/patient/Mustermann")
    found = samples(client)
    route = "/v1/screen"
    assert found[key("requests_total", route=route, outcome="ok")] == 2
    assert found[key("requests_total", route=route, outcome="media-type")] == 1
    assert found[key("requests_total", route="other", outcome="not-found")] == 1
    assert found[key("request_seconds_count", route=route)] == 3
    for stage, times in (("wait", 3), ("decode", 2), ("detect", 2), ("measure", 2), ("answer", 2)):
        assert found[key("stage_seconds_count", stage=stage)] == times, stage
    assert found[key("faces_bucket", le="0.0")] == 1
    assert found[key("faces_count")] == 2
    assert found[key("confidence_count")] == 1
    (face,) = answer["faces"]
    level = face["flag"]["level"]
    assert found[key("flags_total", level=level)] == 1
    assert face["flag"]["reasons"]
    for reason in face["flag"]["reasons"]:
        assert found[key("flag_reasons_total", level=level, reason=reason["code"])] == 1
    for eye in face["eyes"].values():
        for name, reason in eye["withheld"].items():
            assert found[key("withheld_total", measurement=name, reason=reason["code"])] >= 1
    model = answer["model"]
    labels = {"name": model["name"], "version": "", "iteration": "2", "digest": model["digest"][:12]}
    assert found[key("model_info", **labels)] == 1
    assert found[key("requests_inside")] == 0
    assert found[key("requests_limit")] >= 8
    assert not any("Mustermann" in str(k) for k in found)


def test_drift_is_computed_over_the_window(make_client: ClientFactory, served: Served, photo: Photo) -> None:
    client = make_client(window=MIN_VALUES)
    reference = served.reference["features"]
    assert not any(name == "drift_psi" for name, _ in samples(client))
    for _ in range(MIN_VALUES):
        client.app.state.runtime.metrics.faces([], 640, 480)
    found = samples(client)
    counts = reference["faces_per_image"]["counts"]
    empty = [0] * len(counts)
    empty[int(np.searchsorted(reference["faces_per_image"]["edges"], 0, side="right"))] = MIN_VALUES
    assert found[key("drift_psi", feature="faces_per_image")] == pytest.approx(psi(counts, empty))
    assert key("drift_psi", feature="roll") not in found  # no faces, no rolls
    for _ in range(3):
        client.post("/v1/screen", content=photo.png, headers=PNG)
    found = samples(client)
    window = [found[key("window_values", feature="faces_per_image", bin=str(k))] for k in range(len(counts))]
    assert sum(window) == MIN_VALUES  # the oldest have left
    assert sum(found[key("window_values", feature="roll", bin=str(k))] for k in range(10)) == 3
    shown = [found[key("reference_values", feature="roll", bin=str(k))] for k in range(10)]
    assert shown == reference["roll"]["counts"]


def test_the_window_slides() -> None:
    window = Window({"features": {"a": {"n": 4, "edges": [0.0, 1.0], "counts": [1, 2, 1]}, "b": {"n": 0}}}, 3)
    values = {"a": np.array([-1.0, 0.5, np.nan, 2.0])}
    assert window.push(values) == [("a", 0, 1), ("a", 1, 1), ("a", 2, 1)]
    assert window.push({"a": np.array([0.0])}) == [("a", 0, -1), ("a", 1, 1)]
    assert window.push({"b": np.array([0.0])}) == []


def test_another_model_starts_a_new_window() -> None:
    metrics = Metrics(window=10, limit=1)
    one = {"features": {"faces_per_image": {"n": 2, "edges": [1.0, 2.0], "counts": [1, 1, 0]}}}
    two = {"features": {"faces_per_image": {"n": 2, "edges": [1.0], "counts": [1, 1]}}}
    metrics.serve(ModelInfo("m", "1", 0, "a" * 64), one)
    metrics.faces([], 10, 10)
    metrics.serve(ModelInfo("m", "2", 1, "b" * 64), two)
    found = parse(metrics.exposition().decode())
    assert [found[key("window_values", feature="faces_per_image", bin=str(k))] for k in range(3)] == [0, 0, 0]
    assert found[key("model_info", name="m", version="1", iteration="0", digest="a" * 12)] == 0
    assert found[key("model_info", name="m", version="2", iteration="1", digest="b" * 12)] == 1


WORKER = """
import json, sys
from lidloop.screening.screen import ModelInfo
from serving.metrics import Metrics
reference, times, wait = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "wait"
metrics = Metrics(window=500, limit=2)
metrics.serve(ModelInfo("m", "1", 0, "a" * 64), reference)
for _ in range(times):
    metrics.request("/v1/screen", "ok", 0.1)
    metrics.faces([], 10, 10)
metrics.inside(1)
print("done", flush=True)
if wait:
    sys.stdin.readline()
    print(metrics.exposition().decode())
"""


def test_metrics_of_several_processes_are_summed(tmp_path: Path) -> None:
    reference = {"features": {"faces_per_image": {"n": 100, "edges": [1.0], "counts": [50, 50]}}}
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def start(times: int, wait: str) -> Any:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, json.dumps(reference), str(times), wait],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    one, two, gone = start(60, "wait"), start(90, "wait"), start(7, "end")
    for process in (one, two, gone):
        assert process.stdout.readline() == "done\n"
    gone.wait()
    found = parse(one.communicate("go\n")[0])
    two.communicate("go\n")
    assert found[key("requests_total", route="/v1/screen", outcome="ok")] == 60 + 90 + 7
    assert found[key("requests_inside")] == 2  # the one that is gone does not count
    assert found[key("requests_limit")] == 4
    assert found[key("window_values", feature="faces_per_image", bin="0")] == 150
    assert found[key("drift_psi", feature="faces_per_image")] == pytest.approx(psi([50, 50], [150, 0]))
    assert found[key("model_info", name="m", version="1", iteration="0", digest="a" * 12)] == 1


class TestWindow:
    ENTRY: ClassVar[dict[str, Any]] = {"n": 4, "edges": [0.0], "counts": [2, 2]}

    def test_compares_with_what_the_model_saw_and_in_an_old_profile_with_the_labels(self) -> None:
        labels = {"roll": self.ENTRY, "yaw": self.ENTRY}
        live = {"features": {"yaw": self.ENTRY | {"counts": [1, 3]}}}
        assert Window({"features": labels, "live": live}, 10).reference == {"yaw": [1, 3]}
        assert Window({"features": labels, "live": None}, 10).reference == {"roll": [2, 2], "yaw": [2, 2]}
        assert Window({"features": labels}, 10).reference == {"roll": [2, 2], "yaw": [2, 2]}

    def test_measures_shapes_where_the_profile_has_one(self) -> None:
        labels = synthetic_faces(120, seed=1)
        sizes = sizes_of(labels)
        profile = reference_profile(labels, sizes, seen=labels)
        metrics = Metrics(window=50, limit=4)
        metrics.serve(ModelInfo("m", "1", 0, "a" * 64), profile)
        for k in range(3):
            face = labels.of(labels.images[k])
            metrics.faces(face, *sizes[labels.images[k]])
        found = parse(metrics.exposition().decode())
        bins = [found[key("window_values", feature="shape_1", bin=str(k))] for k in range(10)]
        assert sum(bins) == 3

    def test_refuses_a_damaged_shape_before_anything_changes(self) -> None:
        with pytest.raises(LidloopError, match="shape is damaged"):
            Window({"features": {}, "shape": {"mean": []}}, 10)
