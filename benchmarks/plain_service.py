"""Ultralytics in a minimal BentoML service: the baseline of ``lidloop serve``.

``PLAIN_WEIGHTS`` and ``PLAIN_IMGSZ`` name the model. It answers boxes, scores and points, and does nothing
else that takes time.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("YOLO_VERBOSE", "False")

import bentoml
from PIL.Image import Image


@bentoml.service
class Plain:
    """Detect faces in a picture."""

    def __init__(self) -> None:
        from ultralytics import YOLO, settings

        settings.update({"mlflow": False})
        self._model = YOLO(os.environ["PLAIN_WEIGHTS"], task="pose")
        self._imgsz = int(os.environ["PLAIN_IMGSZ"])

    @bentoml.api
    def predict(self, image: Image) -> list[dict[str, Any]]:
        """Boxes, scores and points."""
        found = self._model.predict(image, imgsz=self._imgsz, conf=0.5, device="cpu", verbose=False)[0]
        return [
            {"box": box, "score": score, "points": points}
            for box, score, points in zip(
                found.boxes.xyxy.tolist(),
                found.boxes.conf.tolist(),
                found.keypoints.xy.tolist(),
                strict=True,
            )
        ]
