"""Containers of a rendered pod run as processes here, with the environment that the pod gives them, no more.

What stands in for Kubernetes: Secrets are a dictionary, volumes are folders, addresses are on loopback.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.manifests.render import Object


@dataclass(frozen=True)
class Pod:
    """A pod's spec and what stands in for its cluster.

    Attributes:
        spec: the pod's.
        secrets: content of Secrets by name.
        folder: its volumes are the folders in it, by name.
        moved: words of commands and values of variables that are others here, such as a port.
    """

    spec: Object
    secrets: Mapping[str, Mapping[str, str]]
    folder: Path
    moved: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for volume in self.spec["volumes"]:
            place = self.folder / volume["name"]
            place.mkdir(exist_ok=True)
            if "secret" in volume:
                for key, content in self.secrets[volume["secret"]["secretName"]].items():
                    (place / key).write_text(content)

    def command(self, container: Object) -> list[str]:
        """Command of a container, with this machine's programs, folders and addresses."""
        program, *words = [*container["command"], *container.get("args", [])]
        return [str(Path(sys.executable).parent / program), *(self._here(container, word) for word in words)]

    def environment(self, container: Object) -> dict[str, str]:
        """A container's environment, and a PATH."""
        found = {"PATH": str(Path(sys.executable).parent)}
        for variable in container["env"]:
            if "value" in variable:
                found[variable["name"]] = self._here(container, variable["value"])
                continue
            reference = variable["valueFrom"]["secretKeyRef"]
            content = self.secrets[reference["name"]]
            if reference["key"] in content or not reference.get("optional"):
                found[variable["name"]] = content[reference["key"]]
        return found

    def _here(self, container: Object, text: str) -> str:
        for mount in container["volumeMounts"]:
            if text == mount["mountPath"] or text.startswith(mount["mountPath"] + "/"):
                return str(self.folder / mount["name"]) + text.removeprefix(mount["mountPath"])
        return self.moved.get(text, text)

    def run(self, container: Object) -> subprocess.CompletedProcess[str]:
        """Run a container to its end."""
        return subprocess.run(
            self.command(container),
            env=self.environment(container), cwd=self.folder, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    @contextmanager
    def serving(self, container: Object, port: int) -> Iterator[str]:
        """Run a container until it answers its readiness probe, yield its URL, and stop it.

        Raises:
            RuntimeError: where it ends before, or does not answer in time; with the end of its log.
        """
        log = self.folder / f"{container['name']}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                self.command(container),
                env=self.environment(container),
                cwd=self.folder,
                stdout=out,
                stderr=out,
            )
        url = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + 180
            while not _answers(url + container["readinessProbe"]["httpGet"]["path"]):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{container['name']}: {log.read_text(errors='replace')[-3000:]}")
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
