"""Fixtures of the chart's tests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from minio import Minio

from lidloop.models.bundle import Bundle, seal
from tests.manifests.schemas import CRDS
from tests.servers import rgw


@pytest.fixture
def crds() -> str:
    """Folder of CustomResourceDefinitions; the test is skipped without one."""
    folder = os.environ.get(CRDS)
    if not folder:
        pytest.skip(f"{CRDS} names no folder of CustomResourceDefinitions")
    return folder


@pytest.fixture(scope="session")
def store_starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], rgw.Rgw] | None]:
    """A real S3 server that starts in the background; None if its programs are missing."""
    if rgw.missing():
        yield None
        return
    with rgw.starting(tmp_path_factory.mktemp("s3")) as ready:
        yield ready


@pytest.fixture(scope="session")
def object_store(store_starting: Callable[[], rgw.Rgw] | None) -> rgw.Rgw | None:
    """A real S3 server with the buckets ``registry`` and ``models``; None if its programs are missing."""
    if store_starting is None:
        return None
    server = store_starting()
    host = server.endpoint.removeprefix("http://")
    client = Minio(host, access_key=server.access_key, secret_key=server.secret_key, secure=False)
    for bucket in ("registry", "models"):
        client.make_bucket(bucket)
    return server


@pytest.fixture(scope="session")
def store_keys() -> dict[str, str]:
    """Content of the object store's Secret."""
    pair = (rgw.Rgw.access_key, rgw.Rgw.secret_key)
    return dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), pair, strict=True))


@pytest.fixture(scope="session")
def seal_model() -> Callable[[Path], Bundle]:
    """Function that seals a folder with ``model.onnx`` and ``weights.pt`` into a bundle beside it."""

    def make(folder: Path) -> Bundle:
        (folder / "training.json").write_text(json.dumps({"iteration": 0, "imgsz": 128}))
        overall = {"faces": 4, "matched": 4, "recall": 1.0, "nme_mean": 0.04, "lid_error_mean": 0.02}
        arguments: dict[str, Any] = {
            "evaluation": {"iteration": 0, "gold": {"overall": overall}, "paper": {"overall": overall}},
            "profile": {"format": 1, "features": {}}, "run": "r", "iteration": 0, "parent": None,
            "dataset": "d" * 64, "label_version": 0, "labels": {"train": {"human": 8, "grown": 2}},
        }  # fmt: skip
        return seal(folder, folder.parent / "bundle", **arguments)

    return make
