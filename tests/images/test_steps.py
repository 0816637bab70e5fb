"""The steps' images: the loop's steps in containers, started as KFP starts them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.image import IMAGE
from lidloop.data.dataset import Dataset, LabelVersion
from tests.images.podman import HARDENED, Podman
from tests.images.steps import Steps

ROOM_FOR_GPU = 30e9
"""Bytes that the GPU image needs while it is built."""


@pytest.fixture(scope="session")
def cpu(build: Callable[[str, str, str], str]) -> str:
    return build("components", "cpu", "steps-cpu")


@pytest.fixture(scope="session")
def gpu(build: Callable[[str, str, str], str], engine: Podman) -> str:
    if shutil.disk_usage(engine.folder).free < ROOM_FOR_GPU:
        pytest.skip(f"not shown, the GPU image: it takes {ROOM_FOR_GPU / 1e9:.0f} GB of disk to build")
    try:
        return build("components", "gpu", "steps-gpu")
    except subprocess.TimeoutExpired as error:
        pytest.skip(f"not shown, the GPU image: not built within {error.timeout / 60:.0f} minutes")


@pytest.fixture
def work(tmp_path: Path, drawn: tuple[Dataset, LabelVersion], exported: Path) -> Path:
    """Input of the steps: drawn faces and a model of iteration 0."""
    shutil.copytree(drawn[0].root.parent / "faces", tmp_path / "faces")
    shutil.copytree(exported, tmp_path / "model")
    (tmp_path / "model" / "training.json").write_text(json.dumps({"format": 1, "imgsz": 256, "iteration": 0}))
    return tmp_path


def convert(steps: Steps, work: Path) -> dict[str, Path]:
    made, _ = steps.run(
        "convert", {},
        sources=[f"yolo:{work / 'faces'}"], sources_fingerprint="", split=0.8, keep_splits=True,
        seed=0, pictures="",
    )  # fmt: skip
    return made


def test_all_steps_but_training(engine: Podman, cpu: str, work: Path) -> None:
    steps = Steps(engine, cpu, work)
    registry = {"registry": str(work / "registry"), "run": "run"}
    converted = convert(steps, work)
    given = {"dataset": converted["dataset"], "labels": converted["labels"]}
    assert LabelVersion.open(given["labels"]).info["total"] > 0
    model = {"dataset": given["dataset"], "model": work / "model"}
    labelled, _ = steps.run("auto_label", model, iteration=0, shard="0/1", device="")
    predictions = {"predictions": [labelled["predictions"]]}
    filtered, _ = steps.run(
        "nms_filter", given | predictions,
        iteration=0, conf=0.7, iou=0.3, retention="accumulate", paper_exact=False,
    )  # fmt: skip
    grown = LabelVersion.open(filtered["grown"]).info
    assert grown["total"] > LabelVersion.open(given["labels"]).info["total"]
    judged, words = steps.run(
        "evaluate", given | predictions | filtered | {"gold": given["labels"]},
        iteration=0, min_growth=0.002, max_loss=0.1,
    )  # fmt: skip
    assert words["reason"]
    evaluation = {"evaluation": judged["evaluation"]}
    registered, _ = steps.run(
        "register", given | model | predictions | filtered | evaluation, iteration=0, **registry
    )
    promoted, answer = steps.run(
        "promote", {"registered": registered["record"]}, iteration=0, registry=registry["registry"]
    )
    assert answer["Output"] is True
    made, _ = steps.run(
        "report",
        {"dataset": given["dataset"], "labels": filtered["grown"], "record": promoted["record"]} | evaluation,
        settings="{}", truth="", stopped_early="", **registry,
    )  # fmt: skip
    assert "<html" in made["page"].read_text()


def test_a_step_that_fails_says_why(engine: Podman, cpu: str, work: Path) -> None:
    """A person's error is one line of the log and status 1, as on one machine."""
    shutil.rmtree(work / "faces")
    steps = Steps(engine, cpu, work)
    with pytest.raises(AssertionError, match=r"lidloop \[convert\] ERROR SourceError: .*faces") as failure:
        convert(steps, work)
    assert "status 1" in str(failure.value)


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_what_is_in_it(
    engine: Podman, target: str, request: pytest.FixtureRequest, figures: dict[str, dict[str, Any]]
) -> None:
    """Training where it is promised, and nowhere a compiler."""
    image = request.getfixturevalue(target)
    code = """
import importlib.util, json, os, shutil
modules = "kfp kfp_server_api mlflow onnxruntime pyarrow matplotlib torch ultralytics pip triton".split()
programs = "gcc cc g++ c++ clang ld as make uv nvcc ptxas".split()
print(json.dumps({
    "user": os.getuid(),
    "modules": [name for name in modules if importlib.util.find_spec(name)],
    "programs": [name for name in programs if shutil.which(name)],
}))
"""
    found = json.loads(engine.python(image, code))
    training = ["torch", "ultralytics"] if target == "gpu" else []
    everywhere = ["kfp", "kfp_server_api", "mlflow", "onnxruntime", "pyarrow", "matplotlib"]
    assert found == {"user": 10001, "modules": everywhere + training, "programs": []}
    config = engine.inspect(image)["Config"]
    assert config["User"] == "10001:10001"
    assert not config.get("Entrypoint")
    assert config["Labels"]["org.opencontainers.image.version"] == IMAGE.rpartition(":")[2]
    heaviest = "ultralytics" if training else "mlflow"
    timed = f"import time; start = time.monotonic(); import kfp.dsl.executor_main, {heaviest}; "
    seconds = engine.python(image, timed + "print(time.monotonic() - start)", "--tmpfs=/tmp")
    figures[f"steps-{target}"]["imports_s"] = round(float(seconds.split()[-1]), 1)


def test_training(engine: Podman, gpu: str, work: Path) -> None:
    """One epoch on drawn faces, on the CPU, with nothing writable but /tmp and the step's own folders."""
    steps = Steps(engine, gpu, work)
    converted = convert(steps, work)
    made, _ = steps.run(
        "train", {"dataset": converted["dataset"], "labels": converted["labels"]},
        iteration=0, base_weights=str(work / "model" / "weights.pt"), epochs=1, imgsz=96, batch=4, device="",
        workers=1, patience=0, seed=0, ignore_unlabelled=True, checkpoints="",
    )  # fmt: skip
    training = json.loads((made["model"] / "training.json").read_text())
    assert training["iteration"] == 0
    assert (made["model"] / "model.onnx").stat().st_size > 1e6


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_help(engine: Podman, name: str, request: pytest.FixtureRequest) -> None:
    done = engine("run", "--rm", *HARDENED, request.getfixturevalue(name))
    assert "registry" in done.stdout
