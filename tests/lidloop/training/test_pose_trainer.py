from __future__ import annotations

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from lidloop.training.pose_trainer import LandmarkTrainer, _KeypointLoss, _Watching, _Weighted, sigma_at  # noqa: E402


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
