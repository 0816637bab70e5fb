"""Demo weights, trained on drawn faces by ``lidloop.demo.make``; they need no download.

They detect drawn faces and are not meant for people.
``weights.json`` beside them says how they were made and how good they are.
"""

from __future__ import annotations

from pathlib import Path


def demo_weights() -> Path:
    """Path of the committed weights (YOLOv8n-pose, 51 points)."""
    return Path(__file__).parent / "weights.pt"
