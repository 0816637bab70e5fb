"""Split of an exported network into three parts, so that its heads run only at cells with faces.

YOLOv8 computes scores, boxes (``cv2``) and points (``cv4``) at every cell of three feature maps, 8,400 at
640 px, of which a handful become faces. The parts compute scores everywhere, then boxes at the cells with a
score, then points at the boxes that survive non-maximum suppression. The box and the point head are alike:
two 3 × 3 convolutions and a 1 × 1 one, so a cell's answer depends on 5 × 5 cells of one feature map, and that
is what the head parts take.

Each part holds its own weights, so a model takes twice the disk of the whole network. They could point into
the whole network's file instead (ONNX external data), but runtimes map such weights into memory: overwriting
the file under a running server would change what it computes, after its digest was checked. The parts carry
that file's SHA-256, so that parts of another model are noticed. ``sparse_head`` runs them.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Final

from lidloop.detection.sparse_head import STRIDES, WHOLE
from lidloop.errors import TrainingError
from lidloop.files import write_atomic
from lidloop.models.bundle import BOXES, ONNX, POINTS, SCORES

_LEVELS: Final = len(STRIDES)
_BOX_HEAD, _POINT_HEAD = "cv2", "cv4"


class CannotSplit(TrainingError):
    """A network whose head is not that of YOLOv8 pose; it can only run whole."""


def split(folder: Path) -> None:
    """Write ``scores.onnx``, ``boxes.onnx`` and ``points.onnx`` beside ``model.onnx``.

    ======== ================================== ================================================
    part     takes                              gives
    ======== ================================== ================================================
    scores   (B, 3, h, w)                       (B, 1, anchors); per level (B, C, h', w')
    boxes    per level (n, C, 5, 5), (n, 1, 3,  (Σ n, 64), logits of the distances to the sides
             3)
    points   the same                           (Σ n, 153), raw x, y, visibility
    ======== ================================== ================================================

    The (n, 1, 3, 3) are 1 for cells inside the feature map and 0 outside: there the network pads with zeros
    before each convolution, so what the first convolution makes of cells outside must be zeroed too.

    Raises:
        CannotSplit: for a network whose head is not that of YOLOv8 pose.
    """
    import onnx

    data = (folder / ONNX).read_bytes()
    whole = onnx.load_from_string(data)
    features = _feature_maps(whole)
    parts = {
        SCORES: _scores(whole, features),
        BOXES: _head(whole, _BOX_HEAD),
        POINTS: _head(whole, _POINT_HEAD),
    }
    digest = hashlib.sha256(data).hexdigest()
    for name, part in parts.items():
        part.ir_version, part.producer_name = whole.ir_version, "lidloop"
        onnx.helper.set_model_props(part, {WHOLE: digest})
        write_atomic(folder / name, part.SerializeToString())


def _convolutions(whole: Any, head: str, level: int) -> list[Any]:
    """The nodes of a head's three convolutions at a level."""
    kernels = re.compile(rf"model\.\d+\.{head}\.{level}\.([01]\.conv|2)\.weight")
    found = [n for n in whole.graph.node if n.op_type == "Conv" and kernels.fullmatch(n.input[1])]
    found.sort(key=lambda node: str(node.input[1]))
    sides = [list(_tensor(whole, node.input[1]).dims[2:]) for node in found]
    if sides != [[3, 3], [3, 3], [1, 1]]:
        raise CannotSplit(
            f"level {level} of the network's {head} is not two 3 × 3 and a 1 × 1 convolution, as in YOLOv8"
        )
    return found


def _tensor(whole: Any, name: str) -> Any:
    return next(tensor for tensor in whole.graph.initializer if tensor.name == name)


def _feature_maps(whole: Any) -> list[str]:
    """Names of the three tensors that feed the heads, strides 8, 16 and 32."""
    names = []
    for level in range(_LEVELS):
        inputs = {_convolutions(whole, head, level)[0].input[0] for head in (_BOX_HEAD, _POINT_HEAD)}
        if len(inputs) != 1:
            raise CannotSplit(f"the heads of level {level} do not read one feature map")
        names.append(inputs.pop())
    return names


def _scores(whole: Any, features: list[str]) -> Any:
    """The backbone, the neck and the score head."""
    import onnx
    from onnx.utils import Extractor

    last = next(node for node in whole.graph.node if whole.graph.output[0].name in node.output)
    if last.op_type != "Concat" or len(last.input) != 3:
        raise CannotSplit("the network's answer is not boxes, scores and points, one below the other")
    part = Extractor(whole).extract_model([whole.graph.input[0].name], [last.input[1], *features])
    named = {last.input[1]: "scores", **{name: f"features{k}" for k, name in enumerate(features)}}
    for old, new in named.items():
        part.graph.node.append(onnx.helper.make_node("Identity", [old], [new]))
    for output in part.graph.output:
        output.name = named[output.name]
    del part.graph.value_info[:]
    return part


def _head(whole: Any, head: str) -> Any:
    """A head over 5 × 5 cells of each level, its answers one level below the other."""
    from onnx import TensorProto, helper

    nodes, inputs = [], []
    weights: dict[str, Any] = {}  # by name: equal tensors may have become one
    for level in range(_LEVELS):
        first, second, third = (list(node.input[1:3]) for node in _convolutions(whole, head, level))
        weights |= {name: _tensor(whole, name) for name in (*first, *second, *third)}
        channels, answers = weights[first[0]].dims[1], weights[third[0]].dims[0]
        patch, inside = f"cells{level}", f"inside{level}"
        inputs += [
            helper.make_tensor_value_info(patch, TensorProto.FLOAT, [f"n{level}", channels, 5, 5]),
            helper.make_tensor_value_info(inside, TensorProto.FLOAT, [f"n{level}", 1, 3, 3]),
        ]
        at = f"level{level}/"
        nodes += [
            helper.make_node("Conv", [patch, *first], [f"{at}a"]),
            helper.make_node("Sigmoid", [f"{at}a"], [f"{at}b"]),
            helper.make_node("Mul", [f"{at}a", f"{at}b"], [f"{at}c"]),
            helper.make_node("Mul", [f"{at}c", inside], [f"{at}d"]),
            helper.make_node("Conv", [f"{at}d", *second], [f"{at}e"]),
            helper.make_node("Sigmoid", [f"{at}e"], [f"{at}f"]),
            helper.make_node("Mul", [f"{at}e", f"{at}f"], [f"{at}g"]),
            helper.make_node("Conv", [f"{at}g", *third], [f"{at}h"]),
            helper.make_node("Flatten", [f"{at}h"], [f"{at}answer"]),
        ]
    nodes.append(helper.make_node("Concat", [f"level{k}/answer" for k in range(_LEVELS)], ["answer"], axis=0))
    outputs = [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", answers])]
    graph = helper.make_graph(nodes, head, inputs, outputs, initializer=list(weights.values()))
    return helper.make_model(graph, opset_imports=whole.opset_import)
