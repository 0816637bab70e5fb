"""Pose trainer of Ultralytics, adapted to 51 landmarks and partial labels. Needs torch and ultralytics.

What differs from the stock trainer reaches it through the data YAML (key ``lidloop``), so that a resumed
run and the worker processes of a multi-GPU run see the same settings:

* labels come from a ``LabelVersion``, not from text files beside the pictures;
* the OKS sigma of the keypoint loss follows a recipe (``sigma_at``);
* anchors where the model itself is confident of a face that no label covers give no background loss, except
  at places where a person said that there is no face: these are hard negatives;
* the box decoder is the one that the loss computes with, whatever the weights to start from hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from ultralytics.data.dataset import YOLODataset
from ultralytics.models.yolo.pose import PoseTrainer
from ultralytics.utils.loss import v8PoseLoss
from ultralytics.utils.torch_utils import unwrap_model

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.reviews import declined_boxes, read_reviews
from lidloop.labels import HUMAN
from lidloop.landmarks import N_POINTS
from lidloop.machine import threads
from lidloop.training.ultralytics_settings import quiet_ultralytics

FACE: Final = 0
DECLINED: Final = 1
"""Classes of the rows that the data loader yields: labels, and places without a face, which go through the
same augmentation and are taken out of the batch before the loss."""

quiet_ultralytics()  # here, for this import is all that the processes of several GPUs see of lidloop


def sigma_at(progress: float, recipe: dict[str, Any]) -> list[float]:
    """OKS sigmas of the keypoint loss at a point of training.

    Args:
        progress: share of the epochs that lie behind, 0…1.
        recipe: ``{"kind": "constant", "sigma": s}``; ``{"kind": "anneal", "start": a, "end": b, "hold": h}``
            falls geometrically from a to b and stays at b for the last share h;
            ``{"kind": "mixture", "sigmas": [...]}`` uses several at once and averages their losses.
    """
    kind = recipe["kind"]
    if kind == "constant":
        return [float(recipe["sigma"])]
    if kind == "mixture":
        return [float(s) for s in recipe["sigmas"]]
    start, end, hold = float(recipe["start"]), float(recipe["end"]), float(recipe.get("hold", 0.0))
    share = min(progress / max(1.0 - hold, 1e-6), 1.0)
    return [start * math.exp(share * math.log(end / start))]


class LandmarkDataset(YOLODataset):  # type: ignore[misc]
    """Pictures of one split with the labels of a label version; in training, with its declined places too."""

    def get_labels(self) -> list[dict[str, Any]]:
        """Labels as Ultralytics wants them, one dictionary per picture in the order of ``im_files``."""
        settings = self.data["lidloop"]
        dataset = Dataset.open(Path(settings["dataset"]))
        version = LabelVersion.open(Path(settings["labels"]))
        faces = version.labels(dataset)
        if not self.augment:
            faces = faces.select(faces.origin == HUMAN)
        declined = declined_boxes(read_reviews(version)) if self.augment else {}
        by_path = {str(dataset.path(record.id)): k for k, record in enumerate(dataset.records)}
        order = np.argsort(faces.image, kind="stable")
        bounds = np.searchsorted(faces.image[order], np.arange(len(dataset.records) + 1))
        labels = []
        for file in self.im_files:
            k = by_path[file]
            record = dataset.records[k]
            rows = order[bounds[k] : bounds[k + 1]]
            size = np.array([record.width, record.height], dtype=np.float32)
            places = declined.get(record.id, np.zeros((0, 4)))
            boxes = np.concatenate([faces.boxes[rows], places])
            low, high = boxes[:, :2] / size, boxes[:, 2:] / size
            points = np.zeros((len(boxes), N_POINTS, 3), dtype=np.float32)
            points[: len(rows)] = faces.points[rows]
            points[..., :2] /= size
            classes = np.repeat([FACE, DECLINED], [len(rows), len(places)])
            labels.append(
                {
                    "im_file": file,
                    "shape": (record.height, record.width),
                    "cls": classes.astype(np.float32)[:, None],
                    "bboxes": np.concatenate([(low + high) / 2, high - low], axis=1).astype(np.float32),
                    "segments": [],
                    "keypoints": points,
                    "normalized": True,
                    "bbox_format": "xywh",
                }
            )
        return labels


class _Weighted(nn.Module):
    """Binary cross-entropy without the anchors that ``mask`` names."""

    def __init__(self) -> None:
        super().__init__()
        self.mask: torch.Tensor | None = None

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits.float(), target.float(), reduction="none"
        )
        return loss if self.mask is None else loss.masked_fill(self.mask[..., None], 0.0)


class _Watching(nn.Module):
    """Anchor assigner that also records background anchors with a confident face that no label covers.

    ``declined`` are boxes (B, m, 4) at which a confident face is background nevertheless, in pixels of the
    network's input; boxes without area are padding. An input with declined places and no label teaches these
    places alone, as nobody has said where the faces on it are.
    """

    def __init__(self, assigner: nn.Module, bce: _Weighted, score: float, iou: float) -> None:
        super().__init__()
        self.assigner, self.bce, self.score, self.iou = assigner, bce, score, iou
        self.declined: torch.Tensor | None = None

    def forward(
        self,
        scores: torch.Tensor,
        boxes: torch.Tensor,
        anchors: torch.Tensor,
        gt_labels: torch.Tensor,
        gt_boxes: torch.Tensor,
        gt_mask: torch.Tensor,
        **extra: Any,
    ) -> Any:
        result = self.assigner(scores, boxes, anchors, gt_labels, gt_boxes, gt_mask, **extra)
        confident = scores.amax(-1) > self.score
        if self.declined is not None and self.declined.shape[1]:
            has_place = (self.declined[..., 2:] > self.declined[..., :2]).all(-1).any(-1)
            has_label = (gt_boxes[..., 2:] > gt_boxes[..., :2]).all(-1).any(-1)
            confident |= (has_place & ~has_label)[:, None]
        if gt_boxes.shape[1]:
            confident &= _largest_iou(boxes.float(), gt_boxes.float()) <= self.iou
        if self.declined is not None and self.declined.shape[1]:
            confident &= _largest_iou(boxes.float(), self.declined.float()) <= self.iou
        self.bce.mask = confident & ~result[3].bool()
        return result


def _largest_iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Largest IoU of each box of ``a`` (B, n, 4) with the boxes of ``b`` (B, m, 4), picture by picture."""
    low = torch.maximum(a[:, :, None, :2], b[:, None, :, :2])
    high = torch.minimum(a[:, :, None, 2:], b[:, None, :, 2:])
    inter = (high - low).clamp_(min=0).prod(-1)
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    return (inter / (area_a[:, :, None] + area_b[:, None] - inter + 1e-9)).amax(-1)


class _KeypointLoss(nn.Module):
    """1 − OKS averaged over the visible points and over one or several sigmas (COCO's OKS: k = 2σ)."""

    def __init__(self, sigmas: list[float]) -> None:
        super().__init__()
        self.sigmas = sigmas

    def forward(
        self, predicted: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor, area: torch.Tensor
    ) -> torch.Tensor:
        squared = (predicted[..., :2].float() - truth[..., :2].float()).pow(2).sum(-1)
        relative = squared / (8 * area.float() + 1e-9)
        loss = torch.stack([1 - torch.exp(-relative / s**2) for s in self.sigmas]).mean(0)
        visible = mask.float()
        return ((loss * visible).sum(-1) / visible.sum(-1).clamp(min=1)).mean()


class LandmarkLoss(v8PoseLoss):  # type: ignore[misc]
    """Ultralytics' pose loss with a sigma recipe and without punishment for faces nobody labelled."""

    def __init__(self, model: nn.Module, settings: dict[str, Any]) -> None:
        super().__init__(model)
        self.keypoint_loss = _KeypointLoss(sigma_at(0.0, settings["sigma"]))
        if settings.get("ignore"):
            self.bce = _Weighted()
            stock: nn.Module = self.assigner  # type: ignore[has-type]
            self.assigner = _Watching(stock, self.bce, settings["ignore"]["score"], settings["ignore"]["iou"])

    def loss(self, preds: dict[str, torch.Tensor], batch: dict[str, torch.Tensor]) -> Any:
        """Take declined places out of the batch, tell the assigner about them, and compute the pose loss."""
        declined = batch["cls"].flatten() == DECLINED
        if isinstance(self.assigner, _Watching):
            self.assigner.declined = self._places(preds, batch, declined)
        if declined.any():
            rows = {name: batch[name][~declined] for name in ("batch_idx", "cls", "bboxes", "keypoints")}
            batch = {**batch, **rows}
        return super().loss(preds, batch)

    def _places(
        self, preds: dict[str, torch.Tensor], batch: dict[str, torch.Tensor], rows: torch.Tensor
    ) -> torch.Tensor | None:
        """Boxes (B, m, 4) of the chosen rows in pixels of the network's input; None for no rows."""
        if not rows.any():
            return None
        columns = (batch["batch_idx"].view(-1, 1), batch["cls"].view(-1, 1), batch["bboxes"])
        chosen = torch.cat(columns, 1)[rows].to(self.device)
        height_width = torch.tensor(preds["feats"][0].shape[2:], device=self.device) * self.stride[0]
        scale = height_width[[1, 0, 1, 0]].to(chosen.dtype)
        boxes: torch.Tensor = self.preprocess(chosen, preds["scores"].shape[0], scale_tensor=scale)[..., 1:5]
        return boxes


def _in_bf16(predict: Callable[..., Any]) -> Callable[..., Any]:
    """Run a network in bfloat16 on the CPU and hand its outputs on as 32-bit floats."""

    def wide(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.float()
        if isinstance(value, dict):
            return {key: wide(item) for key, item in value.items()}
        return type(value)(wide(item) for item in value) if isinstance(value, list | tuple) else value

    def mixed(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = predict(*args, **kwargs)
        return wide(result)

    return mixed


class LandmarkTrainer(PoseTrainer):  # type: ignore[misc]
    """Trainer of one iteration. ``data["lidloop"]`` holds dataset, labels, ``sigma`` and ``ignore``."""

    def get_model(self, *args: Any, **kwargs: Any) -> Any:
        """The network with the weights to start from, its box decoder as the loss has it.

        The decoder is an expected value over whole cells (DFL, https://arxiv.org/abs/2006.04388). The loss
        computes it with 0, 1, 2, …; the network has them as weights, and keeps those of the file it starts
        from, which in a file that was quantised once are rounded: boxes up to 6 % of a cell off.
        """
        model = super().get_model(*args, **kwargs)
        bins = model.model[-1].dfl.conv.weight
        bins.data.copy_(torch.arange(bins.numel()).view_as(bins))
        return model

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> LandmarkDataset:
        """Pictures of a split; training ones augmented, validation ones in rectangular batches."""
        training = mode == "train"
        stride = max(int(unwrap_model(self.model).stride.max()), 32)
        return LandmarkDataset(
            img_path=img_path, imgsz=self.args.imgsz, batch_size=batch, augment=training, hyp=self.args,
            rect=not training, cache=self.args.cache or None, stride=stride, pad=0.0 if training else 0.5,
            prefix=f"{mode}: ", task="pose", data=self.data,
        )  # fmt: skip

    def _setup_train(self) -> None:
        super()._setup_train()
        if self.device.type == "cpu":
            torch.set_num_threads(threads())  # Ultralytics leaves one core idle
        model = unwrap_model(self.model)
        model.criterion = LandmarkLoss(model, self.data["lidloop"])
        if self.device.type == "cpu" and self.data["lidloop"].get("bf16"):
            # Ultralytics has mixed precision for GPUs only. The EMA copy, which is saved, stays as it is.
            model.predict = _in_bf16(model.predict)

    def _model_train(self) -> None:
        super()._model_train()
        settings = self.data["lidloop"]
        loss = unwrap_model(self.model).criterion.keypoint_loss
        loss.sigmas = sigma_at(self.epoch / max(self.epochs - 1, 1), settings["sigma"])
        # Early epochs are only for learning; choosing the best begins in the second half.
        self.args.val = self.epoch + 1 >= self.epochs / 2
