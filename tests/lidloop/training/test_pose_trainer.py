from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.review.apply import import_decisions
from lidloop.review.decisions import Decision, DecisionFile, now
from lidloop.review.faces import read_faces_to_review

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from ultralytics.cfg import get_cfg  # noqa: E402
from ultralytics.nn.tasks import PoseModel  # noqa: E402

from lidloop.training.fine_tune import TrainSettings, _write_data  # noqa: E402
from lidloop.training.pose_trainer import (  # noqa: E402
    DECLINED,
    FACE,
    LandmarkDataset,
    LandmarkLoss,
    LandmarkTrainer,
    _KeypointLoss,
    _Watching,
    _Weighted,
    sigma_at,
)

TINY = Path(__file__).parents[2] / "tiny-pose.yaml"


@pytest.mark.parametrize(
    ("recipe", "progress", "expected", "reason"),
    [
        ({"kind": "constant", "sigma": 0.06}, 0.7, [0.06], "constant"),
        ({"kind": "anneal", "start": 0.1, "end": 0.001}, 0.0, [0.1], "starts wide"),
        ({"kind": "anneal", "start": 0.1, "end": 0.001}, 0.5, [0.01], "falls geometrically"),
        ({"kind": "anneal", "start": 0.1, "end": 0.02, "hold": 0.2}, 0.8, [0.02], "holds the end"),
        ({"kind": "anneal", "start": 0.1, "end": 0.02, "hold": 0.2}, 1.0, [0.02], "to the last epoch"),
        ({"kind": "mixture", "sigmas": [0.1, 0.02]}, 0.3, [0.1, 0.02], "several at once"),
    ],
)
def test_sigma_at(recipe: dict, progress: float, expected: list[float], reason: str) -> None:
    assert sigma_at(progress, recipe) == pytest.approx(expected)


def test_the_box_decoder_is_that_of_the_loss_whatever_the_weights_hold() -> None:
    """Weights that were quantised once hold 0.945, 2.008, … where the loss computes with 1, 2, …"""
    trainer = object.__new__(LandmarkTrainer)
    trainer.data = {"nc": 1, "kpt_shape": [51, 3], "channels": 3, "names": {0: "face"}}
    trainer.args = SimpleNamespace()
    rounded = trainer.get_model("yolov8n-pose.yaml", verbose=False)
    first = next(rounded.model[0].parameters()).detach().clone()
    rounded.model[-1].dfl.conv.weight.data += 0.05
    model = trainer.get_model("yolov8n-pose.yaml", weights=rounded, verbose=False)
    assert model.model[-1].dfl.conv.weight.flatten().tolist() == list(range(16))
    assert torch.equal(next(model.model[0].parameters()), first), "all other weights are the file's"


def test_keypoint_loss_is_one_minus_oks_over_visible_points() -> None:
    area, sigma = 400.0, 0.05
    truth = torch.zeros(1, 3, 3)
    predicted = torch.tensor([[[3.0, 4.0, 0], [0, 0, 0], [99, 99, 0]]])
    visible = torch.tensor([[True, True, False]])
    loss = _KeypointLoss([sigma])(predicted, truth, visible, torch.tensor([[area]]))
    oks = torch.exp(torch.tensor(-(5.0**2) / (2 * area * (2 * sigma) ** 2)))
    assert loss.item() == pytest.approx((1 - oks.item()) / 2, abs=1e-6)


def test_narrow_default_sigma_has_no_gradient_where_the_recipe_has() -> None:
    """Why the recipe exists: a tenth of the face away, the default's gradient is gone."""
    gradients = {}
    for sigma in (1 / 51, 0.1):
        predicted = torch.full((1, 1, 3), 10.0, requires_grad=True)
        truth = torch.zeros(1, 1, 3)
        _KeypointLoss([sigma])(predicted, truth, torch.ones(1, 1), torch.tensor([[100.0**2]])).backward()
        gradients[sigma] = predicted.grad.abs().sum().item()
    assert gradients[1 / 51] < gradients[0.1] / 3


class _Assigner(torch.nn.Module):
    """A stand-in for Ultralytics' assigner that returns a foreground mask chosen by the test."""

    def __init__(self, foreground: torch.Tensor) -> None:
        super().__init__()
        self.foreground = foreground

    def forward(self, *_: torch.Tensor) -> tuple[None, None, None, torch.Tensor, None]:
        return None, None, None, self.foreground, None


@pytest.mark.parametrize(
    ("score", "box", "foreground", "ignored", "reason"),
    [
        (0.9, (50, 50, 90, 90), False, True, "a confident face that no label covers"),
        (0.2, (50, 50, 90, 90), False, False, "not confident"),
        (0.9, (0, 0, 40, 38), False, False, "a second answer for a labelled face must still be unlearned"),
        (0.9, (50, 50, 90, 90), True, False, "assigned to a label"),
    ],
)
def test_which_anchors_give_no_background_loss(
    score: float, box: tuple[int, ...], foreground: bool, ignored: bool, reason: str
) -> None:
    bce = _Weighted()
    watching = _Watching(_Assigner(torch.tensor([[foreground]])), bce, score=0.3, iou=0.3)
    truth = torch.tensor([[[0.0, 0.0, 40.0, 40.0]]])
    watching(torch.tensor([[[score]]]), torch.tensor([[box]]).float(), None, None, truth, None)
    logits = torch.tensor([[[1.5]]])
    loss = bce(logits, torch.zeros(1, 1, 1)).item()
    assert (loss == 0.0) is ignored


def test_a_picture_without_labels_ignores_only_what_is_confident() -> None:
    bce = _Weighted()
    watching = _Watching(_Assigner(torch.zeros(1, 2, dtype=torch.bool)), bce, score=0.3, iou=0.3)
    boxes = torch.tensor([[[0.0, 0, 9, 9], [20, 20, 30, 30]]])
    watching(torch.tensor([[[0.8], [0.1]]]), boxes, None, None, torch.zeros(1, 0, 4), None)
    assert bce.mask.tolist() == [[True, False]]


def test_a_confident_face_at_a_declined_place_is_background() -> None:
    bce = _Weighted()
    watching = _Watching(_Assigner(torch.zeros(1, 2, dtype=torch.bool)), bce, score=0.3, iou=0.3)
    watching.declined = torch.tensor([[[20.0, 20, 30, 31], [0, 0, 0, 0]]])
    boxes = torch.tensor([[[0.0, 0, 9, 9], [20, 20, 30, 30]]])
    watching(torch.tensor([[[0.8], [0.8]]]), boxes, None, None, torch.zeros(1, 0, 4), None)
    assert bce.mask.tolist() == [[True, False]]


def test_a_picture_with_only_a_declined_place_teaches_that_place_alone() -> None:
    bce = _Weighted()
    watching = _Watching(_Assigner(torch.zeros(2, 2, dtype=torch.bool)), bce, score=0.3, iou=0.3)
    watching.declined = torch.tensor([[[20.0, 20, 30, 31]], [[20.0, 20, 30, 31]]])
    boxes = torch.tensor([[[0.0, 0, 9, 9], [20, 20, 30, 30]]]).repeat(2, 1, 1)
    truth = torch.tensor([[[0.0, 0, 0, 0]], [[50.0, 50, 60, 60]]])  # the first picture's is padding
    watching(torch.full((2, 2, 1), 0.1), boxes, None, None, truth, None)
    assert bce.mask.tolist() == [[True, False], [False, False]]


def test_a_declined_place_adds_background_loss_and_nothing_else() -> None:
    torch.manual_seed(0)
    model = PoseModel(str(TINY), verbose=False)
    model.args = get_cfg()
    # Every anchor counts as confident, so that the only background loss is that of declined places.
    loss = LandmarkLoss(
        model, {"sigma": {"kind": "constant", "sigma": 0.1}, "ignore": {"score": 0.0, "iou": 0.0}}
    )
    with torch.no_grad():
        predicted = model.train()(torch.rand(2, 3, 64, 64))
    face = {"batch_idx": [0.0], "cls": [[FACE]], "bboxes": [[0.3, 0.3, 0.4, 0.4]]}
    place = {"batch_idx": [1.0], "cls": [[DECLINED]], "bboxes": [[0.6, 0.6, 0.5, 0.5]]}
    points = torch.full((1, 51, 3), 0.3)

    def batch(*rows: dict) -> dict[str, torch.Tensor]:
        columns = {name: torch.tensor([r[name][0] for r in rows]).float() for name in face}
        return {**columns, "keypoints": points.repeat(len(rows), 1, 1)}

    _, without = loss(predicted, batch(face))
    _, with_place = loss(predicted, batch(face, place))
    assert {name for name in without if without[name] != with_place[name]} == {"cls_loss"}
    assert with_place["cls_loss"] > without["cls_loss"]
    _, only_place = loss(predicted, batch(place))
    assert only_place["cls_loss"] > 0
    assert only_place["box_loss"] == 0


def test_declined_places_go_through_the_augmentation_of_training_only(
    drawn: tuple[Dataset, LabelVersion], tmp_path: Path
) -> None:
    dataset, labels = drawn
    faces = read_faces_to_review(dataset, labels)
    chosen = next(
        k
        for k in range(len(faces.ids))
        if dataset.by_id[faces.all.images[faces.all.image[k]]].split == "train"
    )
    image = faces.all.images[faces.all.image[chosen]]
    decision = Decision(face=faces.ids[chosen], image=image, verdict="declined", at=now())
    file = DecisionFile(
        dataset=dataset.digest, labels=0, session="s", tool="test",
        pictures={image: dataset.by_id[image].sha256}, decisions=[decision],
    )  # fmt: skip
    reviewed, _ = import_decisions(dataset, labels, {"f": file}, tmp_path / "v1")
    (tmp_path / "work").mkdir()
    data = yaml.safe_load(_write_data(tmp_path / "work", dataset, reviewed, TrainSettings()).read_text())
    data |= {"nc": 1, "channels": 3}
    (tmp_path / "one.txt").write_text(f"{dataset.path(image).resolve()}\n")
    settings = get_cfg(
        overrides={"mosaic": 0.0, "degrees": 0.0, "translate": 0.0, "scale": 0.0, "fliplr": 0.0}
    )
    found = {}
    for augment in (True, False):
        pictures = LandmarkDataset(
            img_path=str(tmp_path / "one.txt"), data=data, task="pose", augment=augment, hyp=settings,
            imgsz=64, batch_size=1,
        )  # fmt: skip
        item = pictures[0]
        places = item["bboxes"][item["cls"].flatten() == DECLINED]
        found[augment] = places
        assert (item["cls"] == FACE).sum() == len(reviewed.text(image).splitlines())
    box = faces.all.boxes[chosen]
    record = dataset.by_id[image]
    side = max(record.width, record.height)
    expected = [(box[2] - box[0]) / side, (box[3] - box[1]) / side]
    assert found[True][:, 2:].numpy() == pytest.approx(np.array([expected]), abs=0.02)
    assert not len(found[False])
