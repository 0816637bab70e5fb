"""Settings that disable Ultralytics' experiment loggers and telemetry."""

from __future__ import annotations

import os
from typing import Final

from lidloop.errors import TrainingError

OFF: Final = ("clearml", "comet", "dvc", "mlflow", "raytune", "sync", "tensorboard", "wandb")
"""Keys of Ultralytics' settings: experiment loggers, which it calls where they are installed, and
its telemetry."""


def quiet_ultralytics() -> None:
    """Silence Ultralytics on the console, and disable its loggers and telemetry (``OFF``).

    In this process's memory only: the user's own settings file stays as it is. Processes that training
    starts for several GPUs call it again, by importing ``lidloop.training.fine_tune.pose_trainer``.

    Raises:
        TrainingError: where Ultralytics is not installed.
    """
    os.environ.setdefault("YOLO_VERBOSE", "False")  # read when Ultralytics is imported
    try:
        from ultralytics.utils import SETTINGS
    except ImportError as error:
        raise TrainingError("training needs torch and ultralytics: pip install 'lidloop[train]'") from error
    dict.update(SETTINGS, dict.fromkeys(OFF, False))
