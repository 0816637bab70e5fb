"""Weights to begin with where nothing can be downloaded, trained on drawn faces by ``lidloop.demo.make``.

They know drawn faces, not people. ``weights.json`` beside them says how they were made and how good they are.
"""

from __future__ import annotations

from pathlib import Path


def demo_weights() -> Path:
    """Path of the committed weights (YOLOv8n-pose, 51 points)."""
    return Path(__file__).parent / "weights.pt"
