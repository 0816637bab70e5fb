"""Models stored in 16 bits: smaller, their answers the same to the precision of the weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from lidloop.starter.half import store_half


def model(path: Path, weights: np.ndarray) -> Path:
    constants = [
        numpy_helper.from_array(weights, "w"),
        numpy_helper.from_array(np.array([2.0], np.float32), "k"),
    ]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Mul", ["m", "k"], ["y"])]
    shape = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 32]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "g", shape[:1], shape[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 9
    helper.set_model_props(made, {"imgsz": "[320, 320]"})
    onnx.save(made, path)
    return path


def run(path: Path, x: np.ndarray) -> np.ndarray:
    answer: np.ndarray = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    return answer


def test_a_half_model_is_half_as_large_and_answers_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = model(tmp_path / "whole.onnx", rng.normal(0, 1, (32, 32)).astype(np.float32))
    half = store_half(whole, tmp_path / "half.onnx")
    assert half.stat().st_size < 0.65 * whole.stat().st_size
    x = rng.normal(0, 1, (1, 32)).astype(np.float32)
    np.testing.assert_allclose(run(half, x), run(whole, x), atol=0.02)
    kept = {p.key: p.value for p in onnx.load(half).metadata_props}
    assert kept["imgsz"] == "[320, 320]"


def test_weights_beyond_16_bits_are_refused(tmp_path: Path) -> None:
    whole = model(tmp_path / "whole.onnx", np.full((32, 32), 1e6, np.float32))
    with pytest.raises(ValueError, match="w does not fit into 16 bits"):
        store_half(whole, tmp_path / "half.onnx")
    assert not (tmp_path / "half.onnx").exists()
