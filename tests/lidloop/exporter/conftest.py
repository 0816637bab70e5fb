"""Fixtures: an MLflow registry on an SQLite file, with bundles of untrained models."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lidloop.drift.compare import Thresholds
from lidloop.exporter.figures import GUARDS, PAIRS
from lidloop.models.bundle import seal
from lidloop.registry.registry import Registry

pytest.importorskip("mlflow")
pytest.importorskip("prometheus_client")

LABELS = {"train": {"human": 80, "grown": 0}, "val": {"human": 20, "grown": 0}}


@pytest.fixture
def place(tmp_path: Path, migrated: Path) -> Path:
    folder = tmp_path / "registry"
    folder.mkdir()
    shutil.copyfile(migrated, folder / "mlflow.db")
    return folder


def entry(iteration: int, sources: tuple[str, ...] = ("afw", "helen")) -> dict[str, Any]:
    """One iteration of an ``evaluation.json``; errors fall by 0.001 with every iteration."""
    nme = 0.05 - iteration / 1000
    overall = {"faces": 400, "recall": 0.9, "nme_mean": nme, "lid_error_mean": nme / 2, "mse_px2": 12.5}
    by_source = {s: {"faces": 10 * (k + 1), "lid_error_mean": nme / 4} for k, s in enumerate(sources)}
    gold = {"overall": overall, "by_source": by_source}
    return {"iteration": iteration, "gold": gold, "paper": {"overall": overall | {"nme_mean": nme * 2}}}


def watched(iteration: int, **changes: Any) -> dict[str, Any]:
    """A ``watch.json`` in the format of ``lidloop.drift.watch``."""
    feature = {
        "n": [100, 140], "psi": 0.3, "psi_limit": 0.12, "js": 0.2, "ks": 0.15, "p": 0.001,
        "p_corrected": 0.004, "level": "shifted",
    }  # fmt: skip
    guard = {"value": 0.25, "threshold": 0.5, "tripped": False, "why": "a sentence"}
    return {
        "format": 1, "iteration": iteration, "thresholds": Thresholds().to_json(),
        "made": {"label_version": iteration + 1,
                 "labels": {"train": {"human": 80, "grown": 30}, "val": {"human": 20, "grown": 10}}},
        "pairs": {pair: {"faces": [100, 140], "features": {"box_size": feature, "yaw": feature}}
                  for pair in PAIRS},
        "guards": dict.fromkeys(GUARDS, guard),
    } | changes  # fmt: skip


@pytest.fixture
def register(place: Path, tmp_path: Path) -> Callable[..., Registry]:
    """Function that registers an iteration with its history, and returns the registry."""

    def add(iteration: int, *, run: str = "r", **changes: Any) -> Registry:
        model = tmp_path / f"model-{run}-{iteration}"
        model.mkdir()
        (model / "model.onnx").write_bytes(f"onnx {run} {iteration}".encode())
        (model / "weights.pt").write_bytes(b"weights")
        (model / "training.json").write_text(json.dumps({"iteration": iteration, "imgsz": 320}))
        history = [entry(k) for k in range(iteration + 1)]
        arguments: dict[str, Any] = {
            "evaluation": {**history[-1], "iterations": history}, "profile": {"format": 1}, "run": run,
            "iteration": iteration, "parent": None, "dataset": "d" * 64, "label_version": iteration,
            "labels": LABELS,
        }  # fmt: skip
        registry = Registry(place)
        sealed = seal(model, tmp_path / f"bundle-{run}-{iteration}", **(arguments | changes))
        registry.register(sealed, run=run, iteration=iteration)
        return registry

    return add


def get(port: int, path: str = "/metrics") -> tuple[int, str]:
    """Status and body of an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def samples(text: str) -> dict[str, float]:
    """Parse Prometheus' text format: values by name with labels."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
