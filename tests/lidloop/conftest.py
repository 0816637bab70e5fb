"""Small bundles, folders as dictionaries, and an environment without S3 keys, for storage and its users."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lidloop.models.bundle import Bundle, seal


@pytest.fixture
def without_s3_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the S3 keys, endpoints and CA files of the environment in which the tests run."""
    for name in os.environ:
        if name.startswith(("AWS_", "LIDLOOP_S3_")) or name == "SSL_CERT_FILE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """Seal a bundle whose model is the given bytes; a store does not look into it."""

    def make(name: str = "bundle", *, onnx: bytes = b"onnx", iteration: int = 1) -> Bundle:
        model = tmp_path / f"{name}-model"
        model.mkdir()
        (model / "model.onnx").write_bytes(onnx)
        (model / "weights.pt").write_bytes(b"weights")
        (model / "training.json").write_text(json.dumps({"iteration": iteration, "imgsz": 320}))
        return seal(
            model,
            tmp_path / name,
            evaluation={"iteration": iteration, "gold": {"overall": {"faces": 9, "nme_mean": 0.04}}},
            profile={},
            run="r",
            iteration=iteration,
            parent=None,
            dataset="d" * 64,
            label_version=iteration,
            labels={},
            created="2025-01-02T03:04:05+00:00",
        )

    return make


def kill_once_there(process: subprocess.Popen[bytes], folder: Path, pattern: str, size: int) -> None:
    """Kill a process, with no chance to tidy up, as soon as its parts of a download hold ``size`` bytes."""
    try:
        deadline = time.monotonic() + 60
        while sum(part.stat().st_size for part in folder.glob(pattern)) < size:
            assert time.monotonic() < deadline, "nothing came"
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture
def tree() -> Callable[[Path], dict[str, bytes]]:
    """Read a folder as keys and contents, without what the store keeps there for itself."""

    def read(folder: Path) -> dict[str, bytes]:
        paths = (path for path in folder.rglob("*") if path.is_file())
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        return {key: content for key, content in found.items() if not key.startswith(".lidloop-store/")}

    return read
