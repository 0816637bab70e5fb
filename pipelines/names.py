"""Default names on a Kubeflow Pipelines host."""

from __future__ import annotations

from typing import Final

PIPELINE: Final = "lidloop-refinement"
"""Name of the uploaded pipeline."""

EXPERIMENT: Final = "lidloop"
"""Experiment of the runs."""
