"""Configuration of the containers of a local run; ``tests/images/test_run.py`` runs them with podman."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.image import IMAGE
from lidloop.errors import LidloopError
from pipelines.local.containers import ContainerError, Containers, _user, ready, run_step
from pipelines.local.run import run_local
from pipelines.settings import RunSettings


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Return a folder with pictures, a file of annotations in another folder, and weights."""
    (tmp_path / "faces").mkdir()
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco" / "faces.json").write_text("{}")
    (tmp_path / "base.pt").write_text("")
    return tmp_path


def test_only_paths_of_the_run_are_mounted(places: Path) -> None:
    settings = RunSettings(
        sources=(f"yolo:{places}/faces", f"coco:{places}/coco/faces.json", "ibug:s3://pictures/300w"),
        base_weights=str(places / "base.pt"),
        registry=str(places / "registry"),
    )
    found = Containers.of(settings, places / "run")
    assert found == Containers(
        image=f"{IMAGE}-gpu",
        out=str(places / "run"),
        read=tuple(str(places / name) for name in ("base.pt", "coco", "faces")),
        write=(str(places / "registry"),),
        gpus=False,
    )


@pytest.mark.parametrize(
    ("registry", "device", "write", "gpus"),
    [
        ("", "", 0, False),
        ("https://mlflow.example", "cpu", 0, False),
        ("run/registry", "0", 0, True),
        ("elsewhere", "", 1, False),
    ],
    ids=["in the run's folder", "a server", "named, in the run's folder; a GPU", "a folder elsewhere"],
)
def test_gpus_and_registry_depend_on_the_settings(
    places: Path, monkeypatch: pytest.MonkeyPatch, registry: str, device: str, write: int, gpus: bool
) -> None:
    monkeypatch.chdir(places)
    settings = RunSettings(sources=("yolo:faces",), base_weights="base.pt", registry=registry, device=device)
    found = Containers.of(settings, places / "run", "mine:1")
    assert (found.image, len(found.write), found.gpus) == ("mine:1", write, gpus)


ME = f"{os.getuid()}:{os.getgid()}"
PODMAN, DOCKER = {"Components": [{"Name": "Podman Engine"}]}, {"Components": [{"Name": "Engine"}]}


@pytest.mark.parametrize(
    ("options", "version", "expected"),
    [
        (["name=seccomp,profile=builtin"], DOCKER, {"user": ME}),
        (None, PODMAN, {"user": ME}),
        (["name=rootless"], PODMAN, {"user": ME, "userns_mode": "keep-id"}),
        (["name=rootless"], DOCKER, {"user": "0:0"}),
    ],
    ids=["Docker", "podman as root", "podman without root", "Docker without root"],
)
def test_files_of_the_steps_belong_to_the_caller(
    options: list[str] | None, version: dict[str, Any], expected: dict[str, str]
) -> None:
    assert _user({"SecurityOptions": options}, version) == expected


class Container:
    """Fake of a container of the Docker API."""

    def __init__(self, said: list[bytes], status: int, breaks: bool) -> None:
        self.said, self.status, self.breaks = said, status, breaks
        self.did: list[str] = []

    def start(self) -> None:
        self.did.append("start")

    def logs(self, **_: Any) -> Iterator[bytes]:
        yield from self.said
        if self.breaks:
            raise ConnectionError("the engine is gone")

    def wait(self, **_: Any) -> dict[str, int]:
        self.did.append("wait")
        return {"StatusCode": self.status}

    def remove(self, **_: Any) -> None:
        self.did.append("remove")


class Client:
    """Fake of a client of the Docker API."""

    def __init__(self, container: Container) -> None:
        self.containers, self._container = self, container
        self.options: dict[str, Any] = {}

    def create(self, **options: Any) -> Container:
        self.options = options
        return self._container


def test_the_status_is_read_before_a_container_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    container = Container([b"one\ntw", b"o \xe2\x82", b"\xac\nend"], 3, breaks=False)
    client = Client(container)
    assert run_step(client, "x:1", ["sh"], labels={"a": "b"}) == 3
    assert container.did == ["start", "wait", "remove"]
    assert client.options == {"image": "x:1", "command": ["sh"], "labels": {"a": "b"}}
    assert capsys.readouterr().out == "one\ntwo €\nend\n"


def test_a_container_is_removed_after_an_error() -> None:
    container = Container([], 0, breaks=True)
    with pytest.raises(ConnectionError):
        run_step(Client(container), "x:1", ["sh"])
    assert container.did == ["start", "remove"]


def test_a_missing_docker_api_is_reported_with_advice(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{places}/none.sock")
    settings = RunSettings(sources=(f"yolo:{places}/faces",), base_weights=str(places / "base.pt"))
    with pytest.raises(ContainerError, match="podman system service"):
        run_local(settings, out=places / "run", engine="docker")
    with pytest.raises(ContainerError, match=r"none\.sock"), ready(Containers("x:1", str(places))):
        raise AssertionError("ready")


@pytest.mark.parametrize(
    ("options", "words"),
    [({"engine": "kubernetes"}, "process or docker"), ({"image": "x:1"}, "--engine docker")],
)
def test_invalid_options_are_rejected(places: Path, options: dict[str, str], words: str) -> None:
    settings = RunSettings(sources=(f"yolo:{places}/faces",), base_weights=str(places / "base.pt"))
    with pytest.raises(LidloopError, match=words):
        run_local(settings, out=places / "run", **options)
    assert not (places / "run").exists()
