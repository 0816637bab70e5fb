"""Which execution providers a device means. What needs a GPU is not run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from lidloop.detection.runtimes import load_graph, providers
from lidloop.errors import ModelError

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


@pytest.mark.parametrize(
    ("device", "names", "number"),
    [
        ("cpu", [CPU], None),
        ("", [CUDA, CPU], 0),
        ("1", [CUDA, CPU], 1),
        ("cuda:2", [CUDA, CPU], 2),
        ("tensorrt:3", [TENSORRT, CUDA, CPU], 3),
    ],
)
def test_providers_of_a_device(device: str, names: list[str], number: int | None) -> None:
    chosen = providers(device, [CPU, CUDA, TENSORRT])
    assert [entry if isinstance(entry, str) else entry[0] for entry in chosen] == names
    assert {entry[1]["device_id"] for entry in chosen if not isinstance(entry, str)} <= {number}


@pytest.mark.parametrize(
    ("device", "available", "says"),
    [
        ("0", [CPU], "no CUDAExecutionProvider"),
        ("tensorrt:0", [CPU, CUDA], "no TensorrtExecutionProvider"),
        ("gpu", [CPU, CUDA], "no device 'gpu'"),
        ("rocm:0", [CPU, CUDA], "no device 'rocm:0'"),
    ],
)
def test_devices_that_cannot_be_used(device: str, available: list[str], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        providers(device, available)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_file_that_is_no_graph(tmp_path: Path, runtime: str) -> None:
    pytest.importorskip(runtime)
    (tmp_path / "x.onnx").write_bytes(b"junk")
    with pytest.raises(ModelError, match="cannot load"):
        load_graph(tmp_path / "x.onnx", runtime=runtime)  # type: ignore[arg-type]
