"""The serving image: what is in it, and a screening in it, started as the chart starts it."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from lidloop import __version__
from lidloop.web.api_keys import add_key
from tests.images import pod
from tests.images.conftest import REVISION
from tests.images.podman import HARDENED, Podman
from tests.manifests.render import one, template
from tests.serving.conftest import Photo, free_port

MEGABYTES = 700
LOADED = """
import lidloop.cli.main
lidloop.cli.main.add_other_commands()
import serving.app, serving.cli.screen, serving.service, serving.preload, uvicorn
serving.preload.warm_formats()
"""
"""Imports all that a server works with."""


@pytest.fixture(scope="session")
def image(build: Callable[[str, str, str], str]) -> str:
    return build("serving", "serving", "serving")


class Running(NamedTuple):
    """A container that serves."""

    container: str
    url: str
    key: str


@pytest.fixture(scope="session")
def serving(
    engine: Podman,
    image: str,
    sealed_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
    figures: dict[str, dict[str, Any]],
) -> Iterator[Running]:
    """The chart's container, read-only and non-root, with the memory that it gives; no shell can be run."""
    volumes = {name: tmp_path_factory.mktemp(name) for name in ("model", "keys")}
    shutil.copytree(sealed_model, volumes["model"] / "models")  # as the init container leaves it
    key = add_key(volumes["keys"] / "keys", "ward 3")
    for folder in volumes.values():
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    spec = one(template("kserve-less"), "Deployment", "lidloop-serving")["spec"]["template"]["spec"]
    port = free_port()
    no_shell = [f"--volume=/dev/null:{shell}:ro" for shell in shells(engine, image)]
    start = time.monotonic()
    with engine.container(
        f"--publish=127.0.0.1:{port}:8080",
        *no_shell,
        *pod.arguments(spec, spec["containers"][0], image, volumes),
    ) as container:
        url = f"http://127.0.0.1:{port}"
        wait_ready(engine, container, url)
        figures["serving"]["ready_s"] = round(time.monotonic() - start, 1)
        yield Running(container, url, key)


def shells(engine: Podman, image: str) -> list[str]:
    """The files of all shells in an image."""
    code = (
        "import json, os, shutil; names = 'sh bash dash ash ksh zsh busybox'.split(); "
        "print(json.dumps(sorted({os.path.realpath(p) for n in names if (p := shutil.which(n))})))"
    )
    found: list[str] = json.loads(engine.python(image, code))
    return found


def wait_ready(engine: Podman, container: str, url: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(engine("logs", container).stderr)


def ask(serving: Running, photo: Photo, **headers: str) -> httpx.Response:
    sent = {"Content-Type": "image/jpeg", "Authorization": f"Bearer {serving.key}", **headers}
    return httpx.post(f"{serving.url}/v1/screen", content=photo.jpeg, headers=sent, timeout=60)


def test_size(image: str, figures: dict[str, dict[str, Any]]) -> None:
    assert figures["serving"]["size_mb"] < MEGABYTES


def test_metadata(engine: Podman, image: str) -> None:
    config = engine.inspect(image)["Config"]
    prefix = "org.opencontainers.image."
    labels = {key.removeprefix(prefix): value for key, value in config["Labels"].items()}
    assert labels["version"] == __version__
    assert labels["licenses"] == "AGPL-3.0-only"
    assert labels["revision"] == REVISION
    assert labels["source"] == "https://example.org/lidloop"
    assert labels["title"]
    assert labels["description"]
    assert config["User"] == "10001:10001"
    assert (config["Entrypoint"], config["Cmd"]) == (["lidloop"], ["serve"])


def test_what_is_not_in_it(engine: Podman, image: str) -> None:
    """No training, no pipeline, no weights that a pickle holds; nothing that builds or fetches programs."""
    code = """
import importlib.util, json, pathlib, shutil
modules = "torch ultralytics kfp mlflow pyarrow pip setuptools components pipelines".split()
programs = "gcc cc g++ c++ clang ld as make uv pip curl wget git".split()
print(json.dumps({
    "modules": [name for name in modules if importlib.util.find_spec(name)],
    "programs": {name: shutil.which(name) for name in programs if shutil.which(name)},
    "weights": [str(path) for path in pathlib.Path("/opt").rglob("*.pt")],
}))
"""
    found = json.loads(engine.python(image, code))
    assert found["modules"] == []
    # A base may bring Python's own pip; nothing of ours does.
    assert [place for place in found["programs"].values() if not place.startswith("/usr/local/bin/pip")] == []
    assert found["weights"] == []


def test_all_byte_code_is_there_and_fits(engine: Podman, image: str) -> None:
    """Nothing can be written, so a module without byte code would be compiled at every start."""
    done = engine("run", "--rm", *HARDENED, "--entrypoint=python3", image, "-v", "-c", LOADED)
    loaded = re.findall(r"# code object from '?([^'\n]+)", done.stderr)
    assert len(loaded) > 500
    assert [name for name in loaded if not name.endswith(".pyc")] == []


def test_without_keys_it_says_what_it_needs(engine: Podman, image: str) -> None:
    done = engine("run", "--rm", *HARDENED, "--tmpfs=/tmp", image, check=False)
    assert done.returncode == 1
    assert "serve-key" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_screening(
    engine: Podman, serving: Running, photo: Photo, figures: dict[str, dict[str, Any]]
) -> None:
    assert ask(serving, photo, Authorization="").status_code == 401
    start = time.monotonic()
    answer = ask(serving, photo)
    figures["serving"]["screening_s"] = round(time.monotonic() - start, 2)
    assert answer.status_code == 200
    assert len(answer.json()["faces"]) == 1
    figures["serving"]["memory_mb"] = round(status(engine, serving)["VmHWM"] / 1e3)


@pytest.mark.parametrize("accept", ["application/fhir+json", "application/dicom"])
def test_a_screening_as_a_document(serving: Running, photo: Photo, accept: str) -> None:
    answer = ask(serving, photo, Accept=accept)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(accept)


def test_who_it_is_and_what_it_can_do(engine: Podman, serving: Running) -> None:
    found = status(engine, serving)
    assert found["Uid"] == found["Gid"] == 10001
    assert found["CapEff"] == 0
    assert found["NoNewPrivs"] == 1
    write = "open('/opt/lidloop/x', 'w')"
    done = engine("exec", "--user=0", serving.container, "python3", "-c", write, check=False)
    assert "Read-only file system" in done.stderr


def test_there_is_no_shell_to_run(engine: Podman, serving: Running) -> None:
    assert engine("exec", serving.container, "sh", "-c", "true", check=False).returncode != 0


def test_health(engine: Podman, image: str, serving: Running) -> None:
    """The image's own check says yes where a server answers, and no where none does."""
    assert engine("healthcheck", "run", serving.container).returncode == 0
    _, program, *words = engine.inspect(image)["Healthcheck"]["Test"]
    done = engine("run", "--rm", *HARDENED, f"--entrypoint={program}", image, *words, check=False)
    assert done.returncode == 1


def test_a_stop_is_orderly(engine: Podman, serving: Running) -> None:
    """Last in this file: the server is the container's first process, which no signal ends by default."""
    start = time.monotonic()
    engine("stop", "--time", "25", serving.container)
    assert time.monotonic() - start < 25
    state = json.loads(engine("inspect", serving.container).stdout)[0]["State"]
    assert state["ExitCode"] == 0


def status(engine: Podman, serving: Running) -> dict[str, int]:
    """The first number of each line of the server's ``/proc/PID/status``; sizes are in kB."""
    pid = json.loads(engine("inspect", serving.container).stdout)[0]["State"]["Pid"]
    lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    found = {}
    for name, value in lines:
        first = value.split()[0] if value.split() else ""
        base = 16 if name.startswith(("Cap", "Sig", "Shd")) else 10
        if re.fullmatch("[0-9a-f]+" if base == 16 else "[0-9]+", first):
            found[name] = int(first, base)
    return found
