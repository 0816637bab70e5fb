"""Face detector: letterbox, network, decoding and NMS. Auto-labelling, evaluation and serving share it.

Predicted boxes and points are not clipped to the picture; the caller handles those outside.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.detection.runtimes import Graph, Runtime, load_graph
from lidloop.detection.sparse_head import WHOLE, DenseOutput, Network, NetworkOutput, SparseNetwork
from lidloop.errors import LidloopError, ModelError
from lidloop.files import sha256
from lidloop.labels import Face, box_iou
from lidloop.landmarks import N_POINTS
from lidloop.models.bundle import SCORES_INT8, model_files

Backend = Literal["onnxruntime", "openvino", "torch"]
Image = NDArray[np.uint8]

STRIDE: Final = 32
PAD_GREY: Final = 114
MAX_FACES: Final = 300
MAX_CANDIDATES: Final = 3000


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A picture scaled and padded for the network: ``input = gain × picture + (left, top)``, in pixels.

    ``gain`` is (x, y): width and height are rounded to whole pixels separately, so the two differ.
    """

    pixels: Image
    gain: tuple[float, float]
    left: int
    top: int


def letterbox(image: Image, imgsz: int) -> Prepared:
    """Scale a picture so that its longer side is ``imgsz`` and pad both sides to multiples of 32.

    The rounding equals that of Ultralytics' rectangular letterbox, so that both give the same pixels.

    Args:
        image: (h, w, 3) uint8.
        imgsz: a multiple of 32.
    """
    height, width = image.shape[:2]
    gain = min(imgsz / height, imgsz / width)
    new_width, new_height = max(1, round(width * gain)), max(1, round(height * gain))
    pad_width, pad_height = (imgsz - new_width) % STRIDE / 2, (imgsz - new_height) % STRIDE / 2
    if (width, height) != (new_width, new_height):
        image = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    top, bottom = round(pad_height - 0.1), round(pad_height + 0.1)
    left, right = round(pad_width - 0.1), round(pad_width + 0.1)
    canvas = np.full((new_height + top + bottom, new_width + left + right, 3), PAD_GREY, dtype=np.uint8)
    canvas[top : top + new_height, left : left + new_width] = image
    return Prepared(canvas, (new_width / width, new_height / height), left, top)


def as_input(prepared: Sequence[Prepared]) -> NDArray[np.float32]:
    """Stack prepared pictures of equal shape into the network's input: (B, 3, h, w) RGB in 0…1."""
    height, width = prepared[0].pixels.shape[:2]
    batch = np.empty((len(prepared), 3, height, width), dtype=np.float32)
    for item, planes in zip(prepared, batch, strict=True):
        # Plane by plane: eight times as fast as on the interleaved pixels.
        for plane, values in zip(planes, cv2.split(item.pixels), strict=True):
            np.multiply(values, np.float32(1 / 255), out=plane, dtype=np.float32)
    return batch


def nms(boxes: NDArray[np.float64], iou: float) -> NDArray[np.int64]:
    """Greedy non-maximum suppression of boxes that are sorted by falling score; returns the rows kept."""
    kept: list[int] = []
    alive = np.ones(len(boxes), dtype=bool)
    for row in range(len(boxes)):
        if not alive[row]:
            continue
        kept.append(row)
        alive[row + 1 :] &= box_iou(boxes[row : row + 1], boxes[row + 1 :])[0] <= iou
        if len(kept) == MAX_FACES:
            break
    return np.array(kept, dtype=np.int64)


def decode(
    output: NetworkOutput, picture: int, prepared: Prepared, *, conf: float, iou: float, origin: int
) -> list[Face]:
    """Convert the network's output for one picture to faces, by falling score.

    Boxes are computed only for anchors with a sufficient score, points only for boxes that NMS keeps.

    Args:
        output: the network's output, in pixels of its input.
        picture: index of the picture in the batch.
        prepared: how the picture was scaled and padded.
        conf: smallest score.
        iou: NMS threshold: of two boxes with a larger IoU, the one with the lower score is dropped.
        origin: iteration of the model, stored in the faces.
    """
    scores = output.scores[picture]
    anchors = np.flatnonzero(scores >= conf)
    anchors = anchors[np.argsort(-scores[anchors], kind="stable")][:MAX_CANDIDATES]
    values = output.boxes(picture, anchors).astype(np.float64)
    finite = np.isfinite(values).all(axis=1)
    anchors, values = anchors[finite], values[finite]
    offset = np.array([prepared.left, prepared.top])
    centre, half = values[:, :2], values[:, 2:] / 2
    low, high = (centre - half - offset) / prepared.gain, (centre + half - offset) / prepared.gain
    boxes = np.concatenate([low, high], axis=1)
    kept = nms(boxes, iou)
    points = np.full((len(kept), N_POINTS, 3), 2.0)
    points[..., :2] = (output.points(picture, anchors[kept]) - offset) / prepared.gain
    return [
        Face(box, face, origin, float(score))
        for box, face, score in zip(boxes[kept], points, scores[anchors[kept]], strict=True)
        if np.isfinite(face).all()
    ]


class Detector:
    """A loaded model, created by ``load_detector``.

    Attributes:
        imgsz: the longer side of the network's input in pixels.
        iteration: the iteration that trained the model; the origin of its faces.
        digest: SHA-256 of ``model.onnx``, or of the scores part for the INT8 variant.
    """

    def __init__(self, network: Network, *, imgsz: int, iteration: int, digest: str, batch: int = 8) -> None:
        self._network, self._batch = network, batch
        self.imgsz, self.iteration, self.digest = imgsz, iteration, digest

    def prepare(self, image: Image) -> Prepared:
        """Scale and pad a picture: (h, w, 3) uint8 RGB, upright. Safe to call from many threads."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise LidloopError(
                f"expected an (h, w, 3) uint8 RGB picture, got {image.dtype} of shape {image.shape}"
            )
        return letterbox(image, self.imgsz)

    def detect(self, images: Sequence[Image], *, conf: float = 0.25, iou: float = 0.7) -> list[list[Face]]:
        """Detect the faces of each picture, by falling score.

        Args:
            images: (h, w, 3) uint8 RGB arrays, upright.
            conf: smallest score.
            iou: NMS threshold.

        Raises:
            LidloopError: for an array of another shape or type.
        """
        return self.detect_prepared([self.prepare(image) for image in images], conf=conf, iou=iou)

    def detect_prepared(
        self, prepared: Sequence[Prepared], *, conf: float | Sequence[float] = 0.25, iou: float = 0.7
    ) -> list[list[Face]]:
        """Like ``detect``, for prepared pictures; ``conf`` may be one value or one per picture."""
        thresholds = [conf] * len(prepared) if isinstance(conf, int | float) else list(conf)
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for k, item in enumerate(prepared):
            by_shape.setdefault(item.pixels.shape, []).append(k)
        faces: list[list[Face]] = [[] for _ in prepared]
        for group in by_shape.values():
            for start in range(0, len(group), self._batch):
                rows = group[start : start + self._batch]
                output = self.forward([prepared[k] for k in rows])
                for index, k in enumerate(rows):
                    faces[k] = decode(
                        output, index, prepared[k], conf=thresholds[k], iou=iou, origin=self.iteration
                    )
        return faces

    def forward(self, prepared: Sequence[Prepared]) -> NetworkOutput:
        """Run the network on prepared pictures of equal shape."""
        return self._network(as_input(prepared))


def load_detector(
    model: Path,
    *,
    backend: Backend = "onnxruntime",
    threads: int = 0,
    device: str = "cpu",
    batch: int = 0,
    whole: bool = False,
    variant: str | None = None,
) -> Detector:
    """Load a bundle, a model folder or an ONNX file.

    Args:
        model: a bundle (its digests are verified before anything is loaded), a model folder fresh from
            training, or an ``.onnx`` file that names its input size.
        backend: ``torch`` reads ``weights.pt``, a pickle: for training only, never for serving.
        threads: threads of the network; 0 takes those of ``lidloop.machine.threads``.
        device: ``cpu``, a CUDA device such as ``0``, or ``tensorrt:0``.
        batch: largest number of pictures in one pass; 0 takes 1 on a CPU (more does not fit its caches) and
            8 on a GPU.
        whole: run the whole network even if it is split into faster parts
            (``lidloop.training.split_graph``). A model without parts, and an ``.onnx`` file, always runs
            whole.
        variant: ``fp32`` or ``int8``. The default is the bundle's variant on ONNX Runtime and a CPU, where it
            was measured, and ``fp32`` elsewhere.

    Raises:
        ModelError: for a model that is missing, damaged, or does not have 51 points.
    """
    measured_here = backend == "onnxruntime" and device == "cpu"
    files = model_files(Path(model), variant or (None if measured_here else "fp32"))
    digest = sha256(files.onnx)
    stated: str | None = None
    if backend == "torch":
        network = torch_network(files.onnx.parent / "weights.pt", device)
    elif whole or files.parts is None:
        graph = load_graph(files.onnx, runtime=backend, threads=threads, device=device)
        network, stated = _whole_network(files.onnx, graph), graph.metadata.get("imgsz")
    else:
        network = _sparse_network(files.parts, digest, backend, threads, device)
        if files.parts[0].name == SCORES_INT8:
            digest = sha256(files.parts[0])
    imgsz = files.imgsz or (json.loads(stated)[0] if stated else 0)
    if imgsz < STRIDE or imgsz % STRIDE:
        raise ModelError(f"{model} does not state its input size; train or seal it with lidloop")
    batch = batch or (1 if device == "cpu" else 8)
    return Detector(network, imgsz=imgsz, iteration=files.iteration, digest=digest, batch=batch)


def _whole_network(path: Path, graph: Graph) -> Network:
    _check_rows(path, graph, dims=3, rows=5 + 3 * N_POINTS)
    return lambda batch: DenseOutput(graph.run([batch])[0])


def _sparse_network(
    paths: Sequence[Path], whole: str, runtime: Runtime, threads: int, device: str
) -> Network:
    """Load the parts at ``paths``; ``whole`` is the digest of the network that they must come from."""
    scores = load_graph(paths[0], runtime=runtime, threads=threads, device=device)
    # A head takes a millisecond, less than starting threads; OpenVINO and GPUs recompile it for every number
    # of anchors.
    box_head, point_head = (load_graph(path, runtime="onnxruntime", threads=1) for path in paths[1:])
    for path, part in zip(paths, (scores, box_head, point_head), strict=True):
        if part.metadata.get(WHOLE) != whole:
            raise ModelError(f"{path} is not a part of the model.onnx beside it; export again")
    _check_rows(paths[-1], point_head, dims=2, rows=3 * N_POINTS)
    return SparseNetwork(scores, box_head, point_head)


def _check_rows(path: Path, graph: Graph, *, dims: int, rows: int) -> None:
    shape = graph.outputs[0]
    if len(shape) != dims or shape[1] != str(rows):
        raise ModelError(f"{path} has outputs of shape {shape}; a {N_POINTS}-point model has {rows} rows")


def torch_network(weights: Path, device: str) -> Network:
    """Load a checkpoint as a network. It is a pickle: for training only, never for serving.

    Raises:
        ModelError: if PyTorch or Ultralytics is not installed, or the file does not exist.
    """
    try:
        import torch
        from ultralytics import YOLO
    except ImportError as error:
        raise ModelError("the torch backend needs: pip install 'lidloop[train]'") from error
    if not weights.exists():
        raise ModelError(f"there are no weights at {weights}")
    target = torch.device(device if device == "cpu" or device.startswith("cuda") else f"cuda:{device or 0}")
    model = YOLO(str(weights), task="pose").model.float().eval().to(target)

    def run(batch: NDArray[np.float32]) -> NetworkOutput:
        with torch.inference_mode():
            return DenseOutput(model(torch.from_numpy(batch).to(target))[0].cpu().numpy())

    return run
