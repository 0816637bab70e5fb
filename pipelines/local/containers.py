"""Steps of a local run in containers, through the Docker API of Docker or podman.

KFP 2.17's Docker runner lets the engine remove a container as soon as it ends, and counts a missing container
as a success, so a failed step counts as done. The function that starts containers is therefore replaced: the
exit status is read before the container is removed.

A step sees paths of this machine under the same names, and only those that the run needs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from components.image import IMAGE
from lidloop.data.sources import parse_source
from lidloop.errors import LidloopError
from lidloop.registry.mlflow_backend import locate
from lidloop.storage.files import is_stored
from pipelines.settings import RunSettings

DEFAULT_IMAGE: Final = f"{IMAGE}-gpu"
"""Image with all steps, including training; it runs without a GPU too."""
LABEL: Final = "lidloop.run"
"""Label of every container: the run's folder."""
PASSED_ON: Final = ("AWS_", "LIDLOOP_", "MLFLOW_")
"""Prefixes of environment variables that steps get: addresses and credentials of stores."""

_SHM: Final = "1g"  # loader processes pass pictures through /dev/shm


class ContainerError(LidloopError):
    """Containers cannot be used for the run."""


@dataclass(frozen=True)
class Containers:
    """Configuration of the containers of one run; passed to the worker as JSON.

    Attributes:
        image: image of all steps.
        out: folder of the run, writable.
        read: other paths, read-only. write: other writable folders.
        gpus: True if the containers see the machine's GPUs.
    """

    image: str
    out: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    gpus: bool = False

    @classmethod
    def of(cls, settings: RunSettings, out: Path, image: str = "") -> Containers:
        """Return the configuration of a run in the folder ``out`` (absolute)."""
        read = [_folder_of(source) for source in settings.sources]
        places = (settings.base_weights, settings.truth, settings.continue_from, settings.label_version)
        read += [Path(name) for name in places if name and not is_stored(name)]
        write = []
        if (registry := settings.registry_before) and (database := locate(registry).database):
            write = [database.parent]
        return cls(
            image or DEFAULT_IMAGE,
            str(out),
            read=tuple(sorted({str(path.resolve()) for path in read if path and path.exists()})),
            write=tuple(str(path) for path in write if not path.is_relative_to(out)),
            gpus=settings.training_device not in ("", "cpu"),
        )


def _folder_of(source: str) -> Path | None:
    """Folder of a source's pictures: for a file of annotations its folder; None for a source in a store."""
    parsed = parse_source(source)
    if is_stored(parsed.place):
        return None
    path = parsed.path
    return path if path.is_dir() else path.parent


@contextmanager
def ready(containers: Containers) -> Iterator[None]:
    """Check the engine and the image, and remove the run's containers before and after the block.

    Containers of an earlier start that was killed are removed too.

    Raises:
        ContainerError: if the Docker API cannot be reached, or the image does not exist.
    """
    client = _connect()
    try:
        _find(client, containers.image)
        for folder in (containers.out, *containers.write):
            Path(folder).mkdir(parents=True, exist_ok=True)
        _remove(client, containers.out)
        try:
            yield
        finally:
            _remove(client, containers.out)
    finally:
        client.close()


def runner(containers: Containers) -> Any:
    """Return KFP's ``DockerRunner`` for these containers; replaces KFP's function that starts them."""
    from docker.types import DeviceRequest, Mount
    from kfp import local
    from kfp.local import docker_task_handler

    client = _connect()
    mounts = [Mount(path, path, type="bind", read_only=True) for path in containers.read]
    mounts += [Mount(path, path, type="bind") for path in (containers.out, *containers.write)]
    environment = {"USER": "lidloop"}  # the caller's user id has no name in the image
    environment |= {name: text for name, text in os.environ.items() if name.startswith(PASSED_ON)}
    options: dict[str, Any] = {
        "mounts": mounts,
        "environment": environment,
        "labels": {LABEL: containers.out},
        "network_mode": "host",  # addresses such as localhost mean the same as outside
        "shm_size": _SHM,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        **_user(client.info(), client.version()),
    }
    if containers.gpus:
        options["device_requests"] = [DeviceRequest(count=-1, capabilities=[["gpu"]])]
    client.close()

    def start(client: Any, image: str, command: Sequence[str], volumes: Any, **given: Any) -> int:
        return run_step(client, containers.image, command, volumes=volumes, **given)

    docker_task_handler.run_docker_container = start
    return local.DockerRunner(**options)


def run_step(client: Any, image: str, command: Sequence[str], **options: Any) -> int:
    """Run a container, print its output as it comes, remove it, and return its exit status.

    Args:
        client: client of the Docker API. options: options of ``docker`` for new containers.
    """
    container = client.containers.create(image=image, command=list(command), **options)
    try:
        container.start()
        for line in _lines(container.logs(stream=True, follow=True)):
            print(line)
        return int(container.wait(timeout=None)["StatusCode"])
    finally:
        container.remove(force=True, v=True)


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Lines of a stream that comes in chunks."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def _user(info: Mapping[str, Any], version: Mapping[str, Any]) -> dict[str, str]:
    """User of the steps, so that their files belong to the caller.

    A rootless engine maps user ids: podman can keep the id; in rootless Docker the caller is root.
    """
    me = f"{os.getuid()}:{os.getgid()}"
    if not any("rootless" in option for option in info.get("SecurityOptions") or ()):
        return {"user": me}
    if any("podman" in part.get("Name", "").lower() for part in version.get("Components") or ()):
        return {"user": me, "userns_mode": "keep-id"}
    return {"user": "0:0"}


def _connect() -> Any:
    try:
        import docker
    except ImportError as error:
        raise ContainerError(
            f"--engine docker needs the Python package docker ({error}): pip install docker"
        ) from None
    address = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        client = docker.from_env()
        client.ping()
    except (docker.errors.DockerException, OSError):
        raise ContainerError(
            f"the Docker API cannot be reached at {address}: start Docker, or podman's service with "
            "`podman system service --time=0 unix:///tmp/podman.sock &`, and set its address: "
            "export DOCKER_HOST=unix:///tmp/podman.sock"
        ) from None
    return client


def _find(client: Any, image: str) -> None:
    import docker

    try:
        client.images.get(image)
    except docker.errors.ImageNotFound:
        raise ContainerError(
            f"there is no image {image}: build it with `docker build -f components/Dockerfile --target gpu "
            f"-t {image} .` (podman build --format docker), or name another with --image"
        ) from None


def _remove(client: Any, out: str) -> None:
    for container in client.containers.list(all=True, filters={"label": f"{LABEL}={out}"}):
        container.remove(force=True, v=True)
