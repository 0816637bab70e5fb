"""A sealed model, an app in this process and a server in another, which all tests of serving share."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.demo import demo_weights
from lidloop.drift import reference_profile
from lidloop.models.bundle import Bundle, seal
from lidloop.synthetic import FaceTruth, draw_face
from serving.app import create_app
from serving.model import Served, load
from serving.settings import Settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would rather have httpx2, which is httpx under another name
    from starlette.testclient import TestClient

IMGSZ = 256


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of the committed demo weights, which find drawn faces well."""
    pytest.importorskip("ultralytics")
    from lidloop.training.export import export_onnx

    folder = tmp_path_factory.mktemp("exported") / "model"
    folder.mkdir()
    shutil.copyfile(demo_weights(), folder / "weights.pt")
    export_onnx(folder, imgsz=IMGSZ)
    return folder


@pytest.fixture(scope="session")
def seal_iteration(
    exported: Path, drawn: tuple[Dataset, LabelVersion], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Bundle]:
    """Makes a bundle of the demo weights under any iteration."""
    dataset, labels = drawn
    profile = reference_profile(labels.labels(dataset), {r.id: (r.width, r.height) for r in dataset.records})

    def make(iteration: int) -> Bundle:
        place = tmp_path_factory.mktemp("sealed")
        folder = shutil.copytree(exported, place / "model")
        training = {"format": 1, "imgsz": IMGSZ, "iteration": iteration}
        (folder / "training.json").write_text(json.dumps(training))
        metrics = {"faces": 20, "matched": 20, "recall": 1.0, "nme_mean": 0.05, "lid_error_mean": 0.02}
        return seal(
            folder, place / "bundle", evaluation={"iteration": iteration, "gold": {"overall": metrics}},
            profile=profile, run="demo", iteration=iteration, parent=None, dataset=dataset.digest,
            label_version=0, labels={},
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def sealed_model(seal_iteration: Callable[[int], Bundle]) -> Path:
    """A bundle of the demo weights, iteration 2."""
    return seal_iteration(2).root


@pytest.fixture(scope="session")
def registry(
    seal_iteration: Callable[[int], Bundle], migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A registry of two versions, iterations 0 and 1, the first of which is the champion."""
    pytest.importorskip("mlflow")
    from lidloop.registry.registry import Registry

    folder = tmp_path_factory.mktemp("registry")
    shutil.copyfile(migrated, folder / "mlflow.db")
    store = Registry(folder)
    for iteration in (0, 1):
        store.register(seal_iteration(iteration), run="demo", iteration=iteration)
    store.promote("1", reason="first")
    return folder


class Photo(NamedTuple):
    """A drawn face as files, with what is true of it."""

    image: NDArray[np.uint8]
    truth: FaceTruth
    jpeg: bytes
    png: bytes


@pytest.fixture(scope="session")
def photo() -> Photo:
    """One frontal face, 220 px between the outer canthi; the lid at the picture's left hangs (the OD)."""
    picture = draw_face(seed=3, size=(640, 560), canthal_px=220.0, ptosis=(0.6, 0.0))
    return Photo(
        picture.image, picture.faces[0], encode(picture.image, ".jpg"), encode(picture.image, ".png")
    )


@pytest.fixture(scope="session")
def blank() -> bytes:
    """A picture without a face."""
    return encode(np.full((300, 400, 3), 128, np.uint8), ".png")


def encode(image: NDArray[np.uint8], suffix: str, *parameters: int) -> bytes:
    """RGB pixels as a file."""
    return cv2.imencode(suffix, image[..., ::-1], list(parameters))[1].tobytes()


@pytest.fixture(scope="session")
def settings(sealed_model: Path) -> Settings:
    return Settings(model=str(sealed_model), audit=os.devnull)


@pytest.fixture(scope="session")
def served(settings: Settings) -> Served:
    """The loaded model."""
    return load(settings)


ClientFactory = Callable[..., TestClient]


@pytest.fixture
def make_client(settings: Settings, served: Served) -> Iterator[ClientFactory]:
    """Makes a client of an app in this process with other settings: ``make_client(pixels=1000)``."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(in_process(settings, served, **changes))


@pytest.fixture(scope="session")
def client(settings: Settings, served: Served) -> Iterator[TestClient]:
    """A client of an app in this process, with default settings."""
    with in_process(settings, served) as client:
        yield client


@contextmanager
def in_process(settings: Settings, served: Served, **changes: Any) -> Iterator[TestClient]:
    values = {name: getattr(settings, name) for name in settings.__slots__} | changes
    app = create_app(Settings(**values), served)
    with TestClient(
        app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000), raise_server_exceptions=False
    ) as client:
        yield client


class Server(NamedTuple):
    """A running ``lidloop serve``."""

    url: str
    process: subprocess.Popen[str]
    log: Path
    """Standard output and error of the server so far."""

    def stop(self, seconds: float = 20) -> int:
        """Ask it to stop, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


ServerFactory = Callable[..., Server]


@pytest.fixture(scope="session")
def start_server(sealed_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerFactory]:
    """Starts ``lidloop serve`` with arguments and environment variables; all are stopped at the end."""
    started: list[Server] = []

    def start(*arguments: str, ready: bool = True, **environment: str) -> Server:
        port = free_port()
        log = tmp_path_factory.mktemp("server") / "log.txt"
        model = () if any(a.startswith("--model") for a in arguments) else ("--model", str(sealed_model))
        program = Path(sys.executable).with_name("lidloop")
        with log.open("w") as out:
            process = subprocess.Popen(
                [program, "serve", *model, "--port", str(port), *arguments],
                stdout=out, stderr=subprocess.STDOUT, text=True, env=os.environ | environment,
            )  # fmt: skip
        server = Server(f"http://127.0.0.1:{port}", process, log)
        started.append(server)
        if ready:
            wait_ready(server)
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


@pytest.fixture(scope="session")
def server(start_server: ServerFactory) -> Server:
    """A server that tests may share."""
    return start_server()


def wait_ready(server: Server, seconds: float = 60) -> None:
    """Wait until a server answers that it is ready."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.process.poll() is not None:
            raise AssertionError(f"the server ended: {server.log.read_text()}")
        try:
            if httpx.get(f"{server.url}/readyz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the server is not ready: {server.log.read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
