"""Training of the eye network at small size, its export and calibration."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lidloop.errors import ModelError
from lidloop.eyes import network
from lidloop.eyes_training.calibration import chance, fit_logistic, reliability
from lidloop.files import sha256


def test_a_network_is_made_and_described(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    torch = pytest.importorskip("torch")
    import onnxruntime as ort

    from lidloop.eyes_training.__main__ import make

    out = tmp_path / "eyes.onnx"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for batches of ten more of them only wait for each other
    request.addfinalizer(lambda: torch.set_num_threads(threads))
    info = make(eyes=160, faces=20, epochs=3, batch=10, seed=1, out=out)
    assert info == json.loads(out.with_suffix(".json").read_text())
    assert info["sha256"] == sha256(out)
    assert info["unseen"]["patches"] == 60
    assert len(info["calibration"]["lid"]) == 6
    patches = np.zeros((3, 3, 64, 128), np.float32)
    said = network.answer(patches, network.session_of(out, ort))
    assert said.rows.shape == (3, 2, 64)
    assert said.iris.shape == (3, 32, 64)


def test_the_torch_network_and_its_export_agree(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    import onnxruntime as ort

    from lidloop.eyes_training.train import EyeNetwork, export

    torch.manual_seed(0)
    made = EyeNetwork().eval()
    export(made, tmp_path / "eyes.onnx")
    patches = np.random.default_rng(0).standard_normal((5, 3, 64, 128)).astype(np.float32)
    with torch.inference_mode():
        wanted = [values.numpy() for values in made(torch.from_numpy(patches))]
    said = network.answer(patches, network.session_of(tmp_path / "eyes.onnx", ort))
    for name, values in zip(network.OUTPUTS, wanted, strict=True):
        assert np.allclose(getattr(said, name), values, atol=2e-3), name


def test_the_committed_network_is_the_one_described() -> None:
    assert sha256(network.model_path()) == network.info()["sha256"]
    assert network.model_path().stat().st_size < 2_000_000
    unseen = network.info()["unseen"]
    assert unseen["seed"] not in (network.info()["training"]["seed"], network.info()["calibration"]["seed"])


def test_a_modified_network_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "eyes.onnx"
    file.write_bytes(network.model_path().read_bytes()[:-1] + b"x")
    monkeypatch.setattr(network, "model_path", lambda: file)
    monkeypatch.setattr(network, "info", lambda: {"sha256": "0" * 64})
    network._session.cache_clear()
    with pytest.raises(ModelError, match="install lidloop again"):
        network.answer(np.zeros((1, 3, 64, 128), np.float32))
    network._session.cache_clear()


def test_logistic_regression_recovers_probabilities() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=4000)
    features = np.stack([np.ones_like(x), x], axis=1)
    right = rng.random(4000) < 1 / (1 + np.exp(-(0.5 + 2 * x)))
    weights = fit_logistic(features, right)
    assert weights == pytest.approx([0.5, 2.0], abs=0.2)
    assert chance(features[0], weights) == pytest.approx(1 / (1 + np.exp(-(weights[0] + weights[1] * x[0]))))
    assert chance(np.zeros(0), weights) == 0.0


def test_reliability_compares_quality_with_the_share_of_correct_patches() -> None:
    rows = reliability([0.05, 0.1, 0.95, 1.0], [0.5, 0.001, 0.002, np.inf])
    assert [(row["from"], row["n"], row["right"]) for row in rows] == [(0.0, 2, 0.5), (0.8, 2, 0.5)]
