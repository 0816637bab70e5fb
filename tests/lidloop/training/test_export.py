"""An exported model holds no path or name of the machine that trained it."""

from __future__ import annotations

import json
import pickletools
import zipfile
from pathlib import Path

import pytest

from lidloop.demo import demo_weights
from lidloop.eyes.network import model_path
from lidloop.files import sha256
from lidloop.training.export import export_onnx, forget_machine

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")


def paths(weights: Path) -> set[str]:
    """Texts in a checkpoint that are absolute paths."""
    with zipfile.ZipFile(weights) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("data.pkl"))
        texts = (argument for _, argument, _ in pickletools.genops(archive.read(name)))
        return {text for text in texts if isinstance(text, str) and text.startswith("/")}


@pytest.fixture
def telling(tmp_path: Path) -> Path:
    """A model folder whose weights tell where they were trained, as Ultralytics writes them."""
    checkpoint = torch.load(demo_weights(), map_location="cpu", weights_only=False)
    for known in (checkpoint["train_args"], checkpoint["model"].args):
        known |= {"data": "/home/erika/patients/data.yaml", "project": "/home/erika/patients"}
    checkpoint["git"] = {"root": "/home/erika/lidloop", "message": "a secret"}
    torch.save(checkpoint, tmp_path / "weights.pt")
    assert len(paths(tmp_path / "weights.pt")) == 3
    return tmp_path


def test_an_export_tells_nothing_of_the_machine(telling: Path) -> None:
    export_onnx(telling, imgsz=64)
    assert paths(telling / "weights.pt") == set()
    for file in telling.iterdir():
        content = file.read_bytes()
        assert not any(word in content for word in (b"erika", b"a secret", str(telling).encode())), file.name


def test_forgetting_changes_no_tensor_and_happens_once(telling: Path) -> None:
    weights = telling / "weights.pt"
    forget_machine(weights)
    before = torch.load(demo_weights(), map_location="cpu", weights_only=False)["model"].state_dict()
    after = torch.load(weights, map_location="cpu", weights_only=False)["model"].state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    digest = sha256(weights)
    forget_machine(weights)
    assert sha256(weights) == digest


def test_what_is_committed_tells_nothing_either() -> None:
    assert paths(demo_weights()) == set()
    assert json.loads(demo_weights().with_suffix(".json").read_text())["sha256"] == sha256(demo_weights())
    for word in (b"/tmp/", b"/home/", b"/root/", b"/work/"):
        assert word not in model_path().read_bytes()
