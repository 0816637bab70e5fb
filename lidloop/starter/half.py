"""ONNX models with their weights stored in 16 bits, which halves the file; they compute in 32 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from lidloop.files import write_atomic

_SMALL: Final = 256
"""Constants of fewer values stay as they are: shapes, strides, anchors' offsets."""


def store_half(model: Path, out: Path) -> Path:
    """Write a copy of an ONNX model whose large float32 constants are float16, cast back on loading.

    ONNX Runtime folds the casts when it loads the model, so inference is as fast as before.

    Raises:
        ValueError: for a constant beyond the range of float16.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = onnx.load(model)
    casts = []
    for constant in graph.graph.initializer:
        if constant.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(constant)
        if values.size < _SMALL:
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise ValueError(f"{constant.name} does not fit into 16 bits")
        half = values.astype(np.float16)
        name = constant.name
        constant.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        graph.graph.node.insert(0, node)
    onnx.checker.check_model(graph)
    write_atomic(out, graph.SerializeToString())
    return out
