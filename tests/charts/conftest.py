"""Fixtures of the chart's tests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lidloop.models.bundle import Bundle, seal
from tests.manifests.schemas import CRDS
from tests.servers.buckets import client_of
from tests.servers.rclone import Rclone
from tests.servers.rgw import Rgw


@pytest.fixture
def crds() -> str:
    """Folder of CustomResourceDefinitions; the test is skipped without one."""
    folder = os.environ.get(CRDS)
    if not folder:
        pytest.skip(f"{CRDS} names no folder of CustomResourceDefinitions")
    return folder


@pytest.fixture(scope="session")
def object_store(s3_server: Rgw | Rclone) -> Rgw | Rclone:
    """An S3 server with the buckets ``registry`` and ``models``."""
    client = client_of(s3_server)
    for bucket in ("registry", "models"):
        client.make_bucket(bucket)
    return s3_server


@pytest.fixture(scope="session")
def store_keys(object_store: Rgw | Rclone) -> dict[str, str]:
    """Content of the object store's Secret."""
    return {
        "AWS_ACCESS_KEY_ID": object_store.access_key,
        "AWS_SECRET_ACCESS_KEY": object_store.secret_key,
    }


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
