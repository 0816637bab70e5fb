from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.detection.detector import STRIDE, Prepared, decode, letterbox, load_detector, nms
from lidloop.detection.sparse_head import DenseOutput
from lidloop.errors import LidloopError, ModelError
from lidloop.images import read_rgb
from lidloop.labels import box_iou
from lidloop.landmarks import N_POINTS


@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from([64, 256, 640]))
def test_letterbox_fits_and_maps_back(width: int, height: int, imgsz: int) -> None:
    prepared = letterbox(np.zeros((height, width, 3), np.uint8), imgsz)
    h, w = prepared.pixels.shape[:2]
    assert h % STRIDE == 0
    assert w % STRIDE == 0
    assert max(h, w) == imgsz
    corner = np.array([width, height]) * prepared.gain + (prepared.left, prepared.top)
    assert (corner <= (w + 1e-6, h + 1e-6)).all()


def test_letterbox_maps_points_back_although_the_sides_are_rounded_separately() -> None:
    image = np.zeros((319, 480, 3), np.uint8)  # 640 × 425.33 becomes 640 × 425
    prepared = letterbox(image, 640)
    corner = np.array([480.0, 319.0])
    x, y = corner * (640 / 480, 425 / 319) + (prepared.left, prepared.top)
    (face,) = decode(_raw([(x, y, 2, 2, 0.9)]), 0, prepared, conf=0.5, iou=0.7, origin=0)
    np.testing.assert_allclose(face.points[0, :2], corner, atol=1e-4)


@pytest.mark.parametrize("size", [(480, 360), (360, 480), (333, 217), (64, 64), (1000, 40)])
def test_letterbox_gives_the_pixels_of_ultralytics(size: tuple[int, int]) -> None:
    augment = pytest.importorskip("ultralytics.data.augment")
    image = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    theirs = augment.LetterBox(256, auto=True, stride=STRIDE)(image=image)
    np.testing.assert_array_equal(letterbox(image, 256).pixels, theirs)


boxes = st.lists(
    st.tuples(*[st.floats(0, 100, allow_nan=False)] * 2, *[st.floats(1, 60, allow_nan=False)] * 2),
    max_size=30,
)


@given(boxes, st.floats(0.1, 0.9))
def test_nms_drops_only_boxes_that_overlap_a_better_one(rows: list[tuple[float, ...]], iou: float) -> None:
    array = np.array([(x, y, x + w, y + h) for x, y, w, h in rows]).reshape(-1, 4)
    kept = nms(array, iou)
    among = box_iou(array[kept], array[kept])
    assert (among[~np.eye(len(kept), dtype=bool)] <= iou).all()
    for row in set(range(len(array))) - set(kept.tolist()):
        earlier = kept[kept < row]
        assert (box_iou(array[row : row + 1], array[earlier]) > iou).any()


def _raw(rows: list[tuple[float, float, float, float, float]]) -> DenseOutput:
    raw = np.zeros((1, 5 + 3 * N_POINTS, len(rows)), np.float32)
    for k, (cx, cy, w, h, score) in enumerate(rows):
        raw[0, :5, k] = cx, cy, w, h, score
        raw[0, 5::3, k], raw[0, 6::3, k] = cx, cy
    return DenseOutput(raw)


@pytest.mark.parametrize(
    ("row", "reason"), [(0, "x of its box"), (4, "its score"), (5, "x of its first point")]
)
def test_predictions_with_nan_are_dropped(row: int, reason: str) -> None:
    raw = np.ones((1, 5 + 3 * N_POINTS, 2), np.float32)
    raw[0, 0, 1] = 50
    raw[0, row, 0] = np.nan
    prepared = Prepared(np.zeros((64, 64, 3), np.uint8), (1.0, 1.0), 0, 0)
    (face,) = decode(DenseOutput(raw), 0, prepared, conf=0.5, iou=0.7, origin=0)
    assert face.box[0] == 49.5


def test_decode_maps_to_picture_pixels_without_clipping() -> None:
    prepared = Prepared(np.zeros((64, 96, 3), np.uint8), gain=(0.5, 0.5), left=0, top=16)
    raw = _raw([(4, 20, 20, 20, 0.9), (80, 40, 8, 8, 0.4)])
    faces = decode(raw, 0, prepared, conf=0.5, iou=0.7, origin=3)
    assert len(faces) == 1, "the second is under the threshold"
    np.testing.assert_allclose(faces[0].box, [-12, -12, 28, 28])
    np.testing.assert_allclose(faces[0].points[0], [8, 8, 2])
    assert faces[0].origin == 3


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((8, 8), np.uint8), "grey"),
        (np.zeros((8, 8, 4), np.uint8), "alpha"),
        (np.zeros((8, 8, 3), np.float32), "floats"),
        (np.zeros((0, 8, 3), np.uint8), "empty"),
    ],
)
def test_arrays_of_wrong_shape_or_type_are_rejected(
    model_folder: Path, array: np.ndarray, reason: str
) -> None:
    with pytest.raises(LidloopError, match="expected an"):
        load_detector(model_folder).detect([array])


@pytest.mark.parametrize(
    ("make", "message", "reason"),
    [
        (lambda p: p / "nothing", "no model", "missing"),
        (lambda p: p, "training.json|no model|no .*model.onnx", "an empty folder"),
        (lambda p: _write(p / "model.onnx", b"junk"), "cannot load", "not ONNX"),
        (lambda p: _write(p / "weights.pt", b"junk"), "not an ONNX", "a pickle"),
    ],
)
def test_invalid_models_are_rejected(tmp_path: Path, make, message: str, reason: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_detector(make(tmp_path))


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_same_faces_as_ultralytics_predict(model_folder: Path, drawn: tuple[Dataset, LabelVersion]) -> None:
    """The speed comparison with Ultralytics needs equal results."""
    ultralytics = pytest.importorskip("ultralytics")
    dataset, _ = drawn
    detector = load_detector(model_folder)
    theirs = ultralytics.YOLO(str(model_folder / "weights.pt"), task="pose")
    compared = 0
    for record in dataset.records[:8]:
        path = dataset.path(record.id)
        ours = detector.detect([read_rgb(path)], conf=0.3, iou=0.7)[0]
        result = theirs.predict(
            str(path), imgsz=detector.imgsz, conf=0.3, iou=0.7, verbose=False, device="cpu"
        )[0]
        assert len(ours) == len(result.boxes)
        for face, box, points in zip(
            ours, result.boxes.xyxy.numpy(), result.keypoints.xy.numpy(), strict=True
        ):
            clipped = np.clip(face.box, 0, np.tile([record.width, record.height], 2))
            np.testing.assert_allclose(clipped, box, atol=0.05)
            inside = (face.points[:, :2] > 0).all(1) & (
                face.points[:, :2] < (record.width, record.height)
            ).all(1)
            np.testing.assert_allclose(face.points[inside, :2], points[inside], atol=0.05)
            compared += 1
    assert compared >= 4


def test_batches_and_single_pictures_agree(model_folder: Path, drawn: tuple[Dataset, LabelVersion]) -> None:
    dataset, _ = drawn
    detector = load_detector(model_folder, batch=4)
    pictures = [read_rgb(dataset.path(r.id)) for r in dataset.records[:6]]
    pictures.append(cv2.rotate(pictures[0], cv2.ROTATE_90_CLOCKWISE))
    together = detector.detect(pictures)
    for picture, faces in zip(pictures, together, strict=True):
        alone = detector.detect([picture])[0]
        assert len(alone) == len(faces)
        for a, b in zip(alone, faces, strict=True):
            np.testing.assert_allclose(a.points, b.points, atol=1e-2)


def test_openvino_answers_like_onnxruntime(model_folder: Path, drawn: tuple[Dataset, LabelVersion]) -> None:
    pytest.importorskip("openvino")
    dataset, _ = drawn
    picture = read_rgb(dataset.path(dataset.records[0].id))
    a = load_detector(model_folder).detect([picture])[0]
    b = load_detector(model_folder, backend="openvino").detect([picture])[0]
    assert len(a) == len(b) > 0
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x.points, y.points, atol=0.1)
