"""Tests of the execution providers of a device and of invalid files. No GPU is used."""

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
    ("device", "available", "message"),
    [
        ("0", [CPU], "no CUDAExecutionProvider"),
        ("tensorrt:0", [CPU, CUDA], "no TensorrtExecutionProvider"),
        ("gpu", [CPU, CUDA], "no device 'gpu'"),
        ("rocm:0", [CPU, CUDA], "no device 'rocm:0'"),
    ],
)
def test_unusable_devices_are_rejected(device: str, available: list[str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        providers(device, available)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_file_that_is_not_onnx_is_rejected(tmp_path: Path, runtime: str) -> None:
    pytest.importorskip(runtime)
    (tmp_path / "x.onnx").write_bytes(b"junk")
    with pytest.raises(ModelError, match="cannot load"):
        load_graph(tmp_path / "x.onnx", runtime=runtime)  # type: ignore[arg-type]
