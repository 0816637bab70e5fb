"""Copies of a training's checkpoints, here and in a store."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from lidloop.errors import StoreError
from lidloop.storage import LocalStore
from lidloop.training.checkpoints import Checkpoints


def training(folder: Path, content: str, store: str = "") -> Checkpoints:
    """A training that has just saved its checkpoints."""
    checkpoints = Checkpoints(folder / "run", folder / "safe", store)
    checkpoints.weights.mkdir(parents=True, exist_ok=True)
    for name in ("best.pt", "last.pt"):
        (checkpoints.weights / name).write_text(f"{content} {name}")
    return checkpoints


def test_another_place_goes_on_from_the_store(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    settings = tmp_path / "one" / "settings.json"
    first = training(tmp_path / "one", "epoch 1", store)
    settings.write_text("{}")
    first.begin(settings)
    first.keep(None)
    training(tmp_path / "one", "epoch 2", store).keep(None)
    second = Checkpoints(tmp_path / "two" / "run", tmp_path / "two" / "safe", store)
    second.fetch(tmp_path / "two" / "settings.json")
    assert (tmp_path / "two" / "settings.json").read_text() == "{}"
    assert second.last.read_text() == "epoch 2 last.pt"
    assert (second.safe / "best.pt").read_text() == "epoch 2 best.pt"


def test_what_is_here_is_not_replaced_by_what_the_store_has(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    training(tmp_path / "one", "elsewhere", store).keep(None)
    here = training(tmp_path / "two", "here")
    here.keep(None)
    (tmp_path / "two" / "settings.json").write_text("{}")
    Checkpoints(tmp_path / "two" / "run", here.safe, store).fetch(tmp_path / "two" / "settings.json")
    assert here.last.read_text() == "here last.pt"


def test_a_training_without_a_checkpoint_yet_begins_anew(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    begun = Checkpoints(tmp_path / "one" / "run", tmp_path / "one" / "safe", store)
    (tmp_path / "settings.json").write_text("{}")
    begun.begin(tmp_path / "settings.json")
    again = Checkpoints(tmp_path / "two" / "run", tmp_path / "two" / "safe", store)
    again.fetch(tmp_path / "two" / "settings.json")
    assert not again.last.exists()


def test_a_store_that_fails_does_not_end_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> bool:
        raise StoreError("the server is away")

    monkeypatch.setattr(LocalStore, "put", fail)
    checkpoints = training(tmp_path, "epoch 1", str(tmp_path / "store"))
    with caplog.at_level(logging.WARNING, logger="lidloop"):
        checkpoints.keep(None)
    assert checkpoints.last.read_text() == "epoch 1 last.pt"
    assert "the server is away" in caplog.text


def test_the_processes_of_several_gpus_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ultralytics hands callbacks to them by cloudpickle, which it would install where it is missing."""
    cloudpickle = pytest.importorskip("cloudpickle", minversion="3.1.1")
    pytest.importorskip("minio")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    checkpoints = Checkpoints(tmp_path / "run", tmp_path / "safe", "s3://bucket/checkpoints")
    assert checkpoints.store is not None
    keep = cloudpickle.loads(cloudpickle.dumps(checkpoints.keep))
    assert keep.__self__.safe == checkpoints.safe
    assert keep.__self__.address == "s3://bucket/checkpoints"
