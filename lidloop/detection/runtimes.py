"""Loading of ONNX files as functions of arrays, on ONNX Runtime or OpenVINO. Independent of faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from lidloop.errors import ModelError
from lidloop.machine import threads as default_threads

Runtime = Literal["onnxruntime", "openvino"]
Floats32 = NDArray[np.float32]

_TENSORRT: Final = "tensorrt"


@dataclass(frozen=True, eq=False)
class Graph:
    """A loaded ONNX file.

    Attributes:
        run: maps arrays in the order of the file's inputs to arrays in the order of its outputs. Safe to call
            from many threads.
        outputs: the shape of each output as stated in the file: numbers, or names of dynamic dimensions.
        metadata: key and value pairs of the file.
    """

    run: Callable[[Sequence[Floats32]], list[Floats32]]
    outputs: list[list[str]]
    metadata: dict[str, str]


def load_graph(path: Path, *, runtime: Runtime, threads: int = 0, device: str = "cpu") -> Graph:
    """Load an ONNX file.

    Args:
        path: the file.
        runtime: ``onnxruntime`` or ``openvino``.
        threads: 0 takes those of ``lidloop.machine.threads``.
        device: ``cpu``; a CUDA device such as ``0`` or ``cuda:0``; or ``tensorrt:0``.

    Raises:
        ModelError: for a file that cannot be loaded, or a device that this installation cannot use.
    """
    load = _openvino if runtime == "openvino" else _onnxruntime
    return load(path, threads or default_threads(), device)


def providers(device: str, available: Sequence[str]) -> list[Any]:
    """Return ONNX Runtime's execution providers for a device, the preferred one first.

    Raises:
        ModelError: for an unknown device, or one whose provider this ONNX Runtime lacks.
    """
    if device == "cpu":
        return ["CPUExecutionProvider"]
    kind, _, number = device.rpartition(":")
    if kind not in ("", "cuda", _TENSORRT) or not (number or "0").isdecimal():
        raise ModelError(f"there is no device {device!r}; give cpu, a number, cuda:N or tensorrt:N")
    # TF32, the default of both on newer cards, has a mantissa of 10 bits: points would move by a pixel.
    wanted: list[Any] = [("CUDAExecutionProvider", {"device_id": int(number or 0), "use_tf32": 0})]
    if kind == _TENSORRT:
        wanted.insert(0, ("TensorrtExecutionProvider", {"device_id": int(number or 0)}))
    missing = [name for name, _ in wanted if name not in available]
    if missing:
        raise ModelError(f"this ONNX Runtime has no {missing[0]}: install onnxruntime-gpu, or use device cpu")
    return [*wanted, "CPUExecutionProvider"]


def _onnxruntime(path: Path, threads: int, device: str) -> Graph:
    import onnxruntime as ort

    options = ort.SessionOptions()
    # Several graphs and requests share the cores. An explicit number of threads disables pinning to cores,
    # and waiting threads must not spin.
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    chosen = providers(device, ort.get_available_providers())
    try:
        session = ort.InferenceSession(str(path), options, providers=chosen)
    except Exception as error:
        raise ModelError(f"ONNX Runtime cannot load {path}: {error}") from error
    names = [entry.name for entry in session.get_inputs()]

    def run(arrays: Sequence[Floats32]) -> list[Floats32]:
        outputs: list[Floats32] = session.run(None, dict(zip(names, arrays, strict=True)))
        return outputs

    shapes = [[str(dim) for dim in entry.shape] for entry in session.get_outputs()]
    return Graph(run, shapes, dict(session.get_modelmeta().custom_metadata_map))


def _openvino(path: Path, threads: int, device: str) -> Graph:
    try:
        import openvino as ov
    except ImportError as error:
        raise ModelError("the openvino backend needs: pip install 'lidloop[openvino]'") from error
    if device != "cpu":
        raise ModelError("the openvino backend runs on the CPU; use onnxruntime for a GPU")
    core = ov.Core()
    # The default on CPUs with bf16 units is bf16, whose points are off by up to a pixel.
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    try:
        model = core.read_model(path)
        compiled = core.compile_model(model, "CPU", config)
    except Exception as error:
        raise ModelError(f"OpenVINO cannot load {path}: {error}") from error

    idle: list[Any] = []  # pool: an infer request is not thread-safe, and holds the memory of one pass

    def run(arrays: Sequence[Floats32]) -> list[Floats32]:
        try:
            request = idle.pop()
        except IndexError:
            request = compiled.create_infer_request()
        outputs = request.infer(list(arrays))
        idle.append(request)
        return [np.asarray(outputs[output]) for output in compiled.outputs]

    shapes = [[str(dim) for dim in output.partial_shape] for output in compiled.outputs]
    stated = model.get_rt_info("framework").value if model.has_rt_info("framework") else {}
    return Graph(run, shapes, {key: str(value) for key, value in stated.items()})
