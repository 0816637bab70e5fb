"""The split network compared with the whole network, at every anchor and through the detector."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.detection.detector import Detector, Image, letterbox, load_detector
from lidloop.detection.sparse_head import neighbourhoods
from lidloop.errors import ModelError
from lidloop.images import read_rgb
from lidloop.labels import Face
from lidloop.models.bundle import BOXES, ONNX, PARTS, POINTS
from lidloop.synthetic import draw_face
from lidloop.training.export import PARTS_TOLERANCE_PX, compare
from lidloop.training.split_graph import CannotSplit, split
from tests.properties import examples


@given(st.data(), st.integers(1, 7), st.integers(1, 7))
def test_neighbourhoods_equal_slices_of_the_padded_map(data: st.DataObject, height: int, width: int) -> None:
    feature = data.draw(arrays(np.float32, (2, height, width), elements=st.integers(1, 9)))
    cells = np.array(data.draw(st.lists(st.integers(0, height * width - 1), max_size=9)), dtype=np.int64)
    patches, inside = neighbourhoods(feature, cells)
    padded = np.pad(feature, ((0, 0), (2, 2), (2, 2)))
    assert patches.shape == (len(cells), 2, 5, 5)
    for cell, patch, mask in zip(cells, patches, inside, strict=True):
        row, column = divmod(int(cell), width)
        np.testing.assert_array_equal(patch, padded[:, row : row + 5, column : column + 5])
        np.testing.assert_array_equal(mask[0], patch[0, 1:4, 1:4] > 0)


@pytest.fixture(scope="module")
def both(model_folder: Path) -> tuple[Detector, Detector]:
    """Detectors on the whole network and on its parts."""
    return load_detector(model_folder, whole=True), load_detector(model_folder)


@pytest.fixture(scope="module")
def picture(drawn: tuple[Dataset, LabelVersion]) -> Image:
    dataset, _ = drawn
    return read_rgb(dataset.path(dataset.records[0].id))


def same(a: list[Face], b: list[Face]) -> int:
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)
        np.testing.assert_allclose(one.box, other.box, atol=PARTS_TOLERANCE_PX)
        np.testing.assert_allclose(one.points, other.points, atol=PARTS_TOLERANCE_PX)
    return len(a)


@examples(25)
@given(
    width=st.integers(20, 300), height=st.integers(20, 300), imgsz=st.sampled_from([32, 64, 160, 256]),
    seed=st.integers(0, 99), batch=st.integers(1, 3),
)  # fmt: skip
def test_parts_equal_the_whole_network_at_every_anchor_and_size(
    both: tuple[Detector, Detector], width: int, height: int, imgsz: int, seed: int, batch: int
) -> None:
    """Includes borders and corners, and more anchors than one run takes."""
    random = np.random.default_rng(seed)
    images = [random.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(batch)]
    prepared = [letterbox(image, imgsz) for image in images]
    whole, parts = (detector.forward(prepared) for detector in both)
    np.testing.assert_allclose(parts.scores, whole.scores, atol=1e-5)
    order = random.permutation(whole.scores.shape[1])
    for k in range(batch):
        np.testing.assert_allclose(parts.boxes(k, order), whole.boxes(k, order), atol=1e-3, rtol=1e-5)
        np.testing.assert_allclose(parts.points(k, order), whole.points(k, order), atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize(
    ("cut_off", "reason"),
    [
        ((0.0, 0.0, 1.0, 1.0), "the picture as it is"),
        ((0.3, 0.0, 1.0, 1.0), "cut at the left"),
        ((0.0, 0.0, 0.7, 1.0), "cut at the right"),
        ((0.0, 0.3, 1.0, 1.0), "cut at the top"),
        ((0.0, 0.0, 1.0, 0.7), "cut at the bottom"),
        ((0.3, 0.3, 1.0, 1.0), "a corner"),
        ((0.0, 0.0, 0.7, 0.7), "the other corner"),
    ],
)
def test_parts_detect_the_same_faces_at_borders_and_corners(
    both: tuple[Detector, Detector],
    drawn: tuple[Dataset, LabelVersion],
    cut_off: tuple[float, float, float, float],
    reason: str,
) -> None:
    dataset, _ = drawn
    faces = 0
    for record in dataset.records[:4]:
        pixels = read_rgb(dataset.path(record.id))
        height, width = pixels.shape[:2]
        x1, y1, x2, y2 = (
            round(share * side) for share, side in zip(cut_off, (width, height) * 2, strict=True)
        )
        piece = np.ascontiguousarray(pixels[y1:y2, x1:x2])
        a, b = (detector.detect([piece], conf=0.05)[0] for detector in both)
        faces += same(a, b)
    assert faces > 0


def test_an_empty_picture_gives_no_faces(both: tuple[Detector, Detector]) -> None:
    empty = np.full((90, 120, 3), 127, np.uint8)
    for detector in both:
        assert detector.detect([empty], conf=0.5) == [[]]


def test_parts_detect_the_same_faces_if_nms_keeps_hundreds(
    both: tuple[Detector, Detector], picture: Image
) -> None:
    a, b = (detector.detect([picture], conf=0.0, iou=0.99)[0] for detector in both)
    assert same(a, b) > 200, "nearly every anchor"


def test_parts_detect_the_same_faces_in_pictures_of_mixed_shapes(
    both: tuple[Detector, Detector], picture: Image
) -> None:
    pictures = [
        picture,
        np.ascontiguousarray(picture.transpose(1, 0, 2)),
        picture[: picture.shape[0] // 2],
        np.zeros((8, 8, 3), np.uint8),
        picture,
    ]
    whole, parts = (detector.detect(pictures, conf=0.02) for detector in both)
    assert sum(same(a, b) for a, b in zip(whole, parts, strict=True)) > 2


def test_openvino_runs_the_parts_too(
    both: tuple[Detector, Detector], model_folder: Path, picture: Image
) -> None:
    pytest.importorskip("openvino")
    detector = load_detector(model_folder, backend="openvino")
    for conf in (0.02, 0.4):
        assert same(both[0].detect([picture], conf=conf)[0], detector.detect([picture], conf=conf)[0]) > 0


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    """A copy of the model folder to damage."""
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


def test_a_model_without_parts_runs_whole(
    both: tuple[Detector, Detector], folder: Path, picture: Image
) -> None:
    for name in PARTS:
        (folder / name).unlink()
    assert same(load_detector(folder).detect([picture])[0], both[0].detect([picture])[0]) > 0


def test_parts_of_another_model_are_rejected(folder: Path) -> None:
    """As after model.onnx alone was exported again."""
    with (folder / ONNX).open("ab") as file:
        file.write(b"\x00" * 8)
    for backend in ("onnxruntime", "openvino"):
        with pytest.raises(ModelError, match=r"is not a part of the model\.onnx"):
            load_detector(folder, backend=backend)  # type: ignore[arg-type]


def test_parts_of_another_number_of_points_are_rejected(folder: Path) -> None:
    shutil.copyfile(folder / BOXES, folder / POINTS)
    with pytest.raises(ModelError, match=r"points\.onnx .* 153 rows"):
        load_detector(folder)


def test_rounding_errors_of_the_parts_do_not_grow_with_the_picture(folder: Path, tmp_path: Path) -> None:
    """A large picture becomes the same input as a small one: the parts are as near to the whole network."""
    small = draw_face(seed=2, size=(120, 120), canthal_px=50.0).image
    files = []
    for name, image in (("small", small), ("large", cv2.resize(small, None, fx=16, fy=16))):
        files.append(tmp_path / f"{name}.png")
        cv2.imwrite(str(files[-1]), image)
    one, other = (compare(folder, [file])["parts_max_px"] for file in files)
    assert other <= max(3 * one, 1e-3)


def test_training_checks_the_accuracy_of_the_parts(model_folder: Path) -> None:
    check = json.loads((model_folder / "training.json").read_text())["onnx_check"]
    assert check["parts_max_px"] <= PARTS_TOLERANCE_PX
    assert check["parts_max_score"] <= 1e-4


def test_parts_that_differ_from_the_whole_network_are_rejected(
    folder: Path, drawn: tuple[Dataset, LabelVersion]
) -> None:
    import onnx

    from lidloop.errors import TrainingError

    part = onnx.load(folder / POINTS)
    sigmoid = next(node for node in part.graph.node if node.op_type == "Sigmoid")
    sigmoid.op_type = "Tanh"
    (folder / POINTS).write_bytes(part.SerializeToString())
    dataset, _ = drawn
    with pytest.raises(TrainingError, match="parts differ"):
        compare(folder, [dataset.path(dataset.records[0].id)])


def test_parts_do_not_duplicate_weights(model_folder: Path) -> None:
    size = {name: (model_folder / name).stat().st_size for name in (ONNX, *PARTS)}
    assert sum(size[name] for name in PARTS) < 1.02 * size[ONNX]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cv4.0.1.conv.weight", "elsewhere", "cv4"),
        ("cv2.2.0.conv.weight", "elsewhere", "cv2"),
    ],
)
def test_unknown_head_layouts_cannot_be_split(folder: Path, old: str, new: str, message: str) -> None:
    import onnx

    whole = onnx.load(folder / ONNX)
    for tensor in whole.graph.initializer:
        tensor.name = tensor.name.replace(old, new)
    for node in whole.graph.node:
        for k, name in enumerate(node.input):
            node.input[k] = name.replace(old, new)
    onnx.save(whole, folder / ONNX)
    with pytest.raises(CannotSplit, match=message):
        split(folder)
