"""Loading a model: its source, verification of its digests, exchange while requests are answered."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lidloop.errors import ModelError, RegistryError
from lidloop.models.bundle import Bundle
from lidloop.registry.registry import Registry
from serving import model
from serving.model import Model, Served, load, resolve
from serving.settings import Settings
from tests.serving.conftest import ClientFactory, Photo, in_process

PNG = {"Content-Type": "image/png"}


def ignore(_: Served) -> None:
    """Nobody listens."""


def test_a_bundle_folder_is_served_with_its_name_and_version(sealed_model: Path, served: Served) -> None:
    bundle = Bundle.open(sealed_model)
    assert served.info == model.ModelInfo("lidloop", None, 2, bundle.model_digest)
    assert served.reference == bundle.read("reference_profile.json")
    named = load(Settings(model=str(sealed_model), model_name="eyes", model_version="7"))
    assert (named.info.name, named.info.version) == ("eyes", "7")


@pytest.mark.parametrize("name", ["model.onnx", "reference_profile.json", "weights.pt"])
def test_a_changed_bundle_is_not_loaded(
    sealed_model: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = shutil.copytree(sealed_model, tmp_path / "bundle")
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    monkeypatch.setattr(model, "load_detector", lambda *_, **__: pytest.fail("loaded before it was verified"))
    with pytest.raises(ModelError, match="does not match its digest"):
        load(Settings(model=str(bundle)))


def test_a_folder_without_a_manifest_is_rejected(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="only sealed models"):
        load(Settings(model=str(exported)))
    with pytest.raises(ModelError, match="not a bundle"):
        load(Settings(model=str(tmp_path / "gone")))
    with pytest.raises(RegistryError, match="no registry"):
        load(Settings(model="champion", registry=str(tmp_path)))


def test_the_mounted_model_is_the_default(
    sealed_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "MOUNTED", tmp_path)
    assert resolve(Settings()) == "champion", "a failed download never means the starter"
    monkeypatch.setattr(model, "MOUNTED", sealed_model)
    assert resolve(Settings()) == str(sealed_model)
    assert resolve(Settings(model="3")) == "3"
    assert load(Settings()).info.iteration == 2


def test_the_starter_is_served_where_no_model_and_no_registry_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: Photo
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model, "MOUNTED", tmp_path / "absent")
    settings = Settings(audit=os.devnull)
    assert resolve(settings) == "starter"
    served = load(settings)
    assert served.identity == served.detector.digest == model.identity(settings)
    with in_process(settings, served) as client:
        answer = client.post("/v1/screen", content=photo.png, headers=PNG)
    assert answer.status_code == 200
    assert answer.json()["model"]["name"] == "starter"
    assert len(answer.json()["faces"]) == 1
    assert resolve(Settings(registry=str(tmp_path / "named"))) == "champion"


def test_serving_loads_neither_torch_nor_a_pickle(sealed_model: Path) -> None:
    code = """
import pickle, sys
def refuse(*_, **__): raise AssertionError("a pickle was opened")
pickle.load = pickle.loads = pickle.Unpickler = refuse
from serving.app import shared_app
import serving.service
runtime = shared_app().state.runtime
runtime.model.load()
assert runtime.model.ready
heavy = {"torch", "ultralytics", "mlflow", "kfp", "onnx", "matplotlib", "pandas"} & set(sys.modules)
assert not heavy, heavy
"""
    environment = os.environ | {"LIDLOOP_MODEL": str(sealed_model), "LIDLOOP_AUDIT": os.devnull}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_new_champion_is_picked_up(
    make_client: ClientFactory, registry: Path, photo: Photo, caplog: pytest.LogCaptureFixture
) -> None:
    Registry(registry).promote("1", reason="first")
    champion = load(Settings(model="champion", registry=str(registry)))
    assert (champion.info.version, champion.info.iteration) == ("1", 0)
    assert load(Settings(model="2", registry=str(registry))).info.iteration == 1
    settings = Settings(model="champion", registry=str(registry))
    shown: list[Served] = []
    held = Model(settings, champion, on_change=shown.append)
    assert held.refresh() is False
    store = Registry(registry)
    store.promote("2", reason="better")
    with caplog.at_level(logging.INFO):
        assert held.refresh() is True
    assert held.current is shown[-1] is not champion
    assert held.current.info.version == "2"
    assert "version 2" in caplog.text
    store.rollback()
    assert held.refresh() is True
    assert held.current.info.version == "1"


def test_a_changed_folder_is_loaded_and_a_damaged_one_is_not(
    seal_iteration: Callable[[int], Bundle], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "bundle"
    shutil.copytree(seal_iteration(4).root, place)
    held = Model(Settings(model=str(place)), on_change=ignore)
    assert not held.ready
    assert held.load().info.iteration == 4
    assert held.ready
    shutil.rmtree(place)
    assert held.refresh() is False
    assert "stays as it is" in caplog.text
    shutil.copytree(seal_iteration(5).root, place)
    (place / "model.onnx").write_bytes(b"damaged")
    assert held.refresh() is False
    assert held.current.info.iteration == 4
    shutil.copyfile(seal_iteration(5).root / "model.onnx", place / "model.onnx")
    assert held.refresh() is True
    assert held.current.info.iteration == 5


def test_the_old_model_stays_if_the_new_one_fails(
    seal_iteration: Callable[[int], Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "bundle"
    shutil.copytree(seal_iteration(4).root, place)
    refused: list[Served] = []

    def refuse_later_ones(served: Served) -> None:
        if served.info.iteration != 4:
            refused.append(served)
            raise KeyError("n")  # as a profile without counts would

    held = Model(Settings(model=str(place)), on_change=refuse_later_ones)
    held.load()
    shutil.rmtree(place)
    shutil.copytree(seal_iteration(5).root, place)
    assert held.refresh() is False
    assert len(refused) == 1
    assert held.current.info.iteration == 4
    monkeypatch.setattr("lidloop.models.bundle.sha256", _gone)
    with pytest.raises(ModelError, match="cannot read"):
        Bundle.open(place)
    assert held.refresh() is False


def _gone(path: Path) -> str:
    raise FileNotFoundError(path)


def test_not_ready_before_a_model_and_while_stopping(make_client: ClientFactory, photo: Photo) -> None:
    client = make_client()
    runtime = client.app.state.runtime
    runtime.model.stopping = True
    for path in ("/readyz", "/v2/health/ready", "/v2/models/lidloop/ready"):
        response = client.get(path)
        assert response.status_code == 503, path
        assert response.json()["type"] == "/problems/not-ready"
    assert client.get("/livez").status_code == 200
    assert (
        client.post("/v1/screen", content=photo.png, headers=PNG).status_code == 200
    )  # what came in is done
    runtime.model._current = None
    response = client.post("/v1/screen", content=photo.png, headers=PNG)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
