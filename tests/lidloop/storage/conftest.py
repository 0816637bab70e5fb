"""A real S3 server for the tests of storage, buckets on it, and small bundles."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lidloop.bundle import Bundle, seal
from lidloop.storage import Store, open_store
from tests.servers.rgw import Rgw, missing, running

minio = pytest.importorskip("minio")

from lidloop.storage.transport import Patience  # noqa: E402

QUICK = Patience(tries=4, first=0.01, longest=0.05)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keys, endpoints or CA files of whoever runs the tests."""
    for name in os.environ:
        if name.startswith(("AWS_", "LIDLOOP_S3_")) or name == "SSL_CERT_FILE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def rgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rgw]:
    if reason := missing():
        pytest.skip(f"no S3 server to test against: {reason}")
    with running(tmp_path_factory.mktemp("rgw")) as server:
        yield server


@dataclass
class Bucket:
    """An empty bucket, and a client of its own to look into it."""

    name: str
    server: Rgw
    client: minio.Minio

    def address(self, prefix: str = "", **parameters: str) -> str:
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"s3://{self.name}/{prefix}" + (f"?{query}" if query else "")

    def store(self, prefix: str = "", **parameters: str) -> Store:
        return open_store(self.address(prefix, **parameters), patience=QUICK)

    def put(self, key: str, content: bytes, sha256: str = "") -> None:
        metadata = {"sha256": sha256} if sha256 else None
        self.client.put_object(self.name, key, io.BytesIO(content), len(content), metadata=metadata)

    def get(self, key: str) -> bytes:
        response = self.client.get_object(self.name, key)
        try:
            return bytes(response.data)
        finally:
            response.release_conn()

    def keys(self) -> list[str]:
        return [str(item.object_name) for item in self.client.list_objects(self.name, recursive=True)]


@pytest.fixture
def bucket(rgw: Rgw, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", rgw.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", rgw.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", rgw.secret_key)
    host = rgw.endpoint.removeprefix("http://")
    client = minio.Minio(host, rgw.access_key, rgw.secret_key, secure=False, region="us-east-1")
    name = f"test-{uuid.uuid4().hex[:16]}"
    client.make_bucket(name)
    return Bucket(name, rgw, client)


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
