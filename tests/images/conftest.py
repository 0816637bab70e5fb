"""The images, built once; without ``LIDLOOP_IMAGES`` (``make image-test`` sets it) all of it is skipped."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.common import machine
from lidloop.files import write_atomic
from tests.images import base, podman
from tests.images.podman import Podman
from tests.serving.conftest import exported, photo, seal_iteration, sealed_model  # noqa: F401

ROOT: Final = Path(__file__).parents[2]
FIGURES: Final = "LIDLOOP_IMAGES"
"""File for sizes and times, as JSON."""
KEPT: Final = "LIDLOOP_IMAGE_STORE"
"""Folder for images and caches that is kept; otherwise it is a temporary one."""
REVISION: Final = "0123456789abcdef0123456789abcdef01234567"
_figures: Final[dict[str, dict[str, Any]]] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [
        item
        for item in items
        if item.path.parent == Path(__file__).parent and "engine" in getattr(item, "fixturenames", ())
    ]
    if not os.environ.get(FIGURES):
        for item in here:
            item.add_marker(
                pytest.mark.skip(reason="takes minutes and needs root and podman: make image-test")
            )
    elif here and podman.missing():
        pytest.exit(f"images cannot be tested: {podman.missing()}", returncode=1)
    for item in here:
        item.add_marker(pytest.mark.timeout(3600))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print sizes and times."""
    for image, rows in _figures.items():
        terminalreporter.write_line("")
        terminalreporter.write_line(f"{image}:")
        for name, value in rows.items():
            terminalreporter.write_line(f"  {name.replace('_', ' '):<28}{value}")


@pytest.fixture(scope="session")
def figures() -> Iterator[dict[str, dict[str, Any]]]:
    """Sizes and times by image; kept in the file that ``LIDLOOP_IMAGES`` names."""
    yield _figures
    file = Path(os.environ[FIGURES])
    stored = json.loads(file.read_text())["images"] if file.exists() else {}
    found = {"format": 1, "machine": machine(), "images": stored | _figures}
    write_atomic(file, json.dumps(found, indent=1) + "\n")


@pytest.fixture(scope="session")
def engine() -> Iterator[Podman]:
    """podman with a storage of its own."""
    kept = os.environ.get(KEPT)
    if kept:
        yield Podman(Path(kept).absolute())
        return
    made = Podman(Path(tempfile.mkdtemp(prefix="lidloop-images-", dir="/var/tmp")))
    yield made
    made.close()


@pytest.fixture(scope="session")
def base_image(engine: Podman) -> str:
    """The base of all images."""
    return base.provide(engine)


@pytest.fixture(scope="session")
def build(
    engine: Podman, base_image: str, figures: dict[str, dict[str, Any]]
) -> Callable[[str, str, str], str]:
    """Builds a target of a Dockerfile and returns its tag: ``build("components", "cpu", "steps-cpu")``."""

    def make(house: str, target: str, name: str) -> str:
        tag = f"localhost/lidloop/{name}:test"
        arguments = {"BASE": base_image, "REVISION": REVISION, "SOURCE": "https://example.org/lidloop"}
        seconds = engine.build(
            ROOT / house / "Dockerfile", ROOT, tag, arguments=arguments, target=target, timeout=1800
        )
        size, of_base = engine.inspect(tag)["Size"], engine.inspect(base_image)["Size"]
        figures[name] = {
            "measured": datetime.now(UTC).date().isoformat(),
            "size_mb": round(size / 1e6),
            "base_mb": round(of_base / 1e6),
            "build_s": None if os.environ.get(KEPT) else round(seconds),  # what is kept is not built again
        }
        return tag

    return make
