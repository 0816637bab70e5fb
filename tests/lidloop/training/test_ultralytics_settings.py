from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lidloop.errors import TrainingError
from lidloop.training.ultralytics_settings import OFF, quiet_ultralytics

AS_A_WORKER = """
import json, sys
from ultralytics.utils import SETTINGS, SETTINGS_FILE
SETTINGS.update({"mlflow": True, "wandb": True, "comet": True, "sync": True})
before = SETTINGS_FILE.read_bytes()
import lidloop.training.pose_trainer
print(json.dumps([dict(SETTINGS), SETTINGS_FILE.read_bytes() == before]))
"""


def test_the_trainers_import_alone_switches_off_what_a_user_has_on(tmp_path: Path) -> None:
    """A process of a multi-GPU run imports the trainer and nothing else of ours."""
    pytest.importorskip("ultralytics")
    environment = {**os.environ, "YOLO_CONFIG_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", AS_A_WORKER], capture_output=True, text=True, env=environment, check=True
    )
    settings, untouched = json.loads(done.stdout.splitlines()[-1])
    assert not any(settings[key] for key in OFF)
    assert untouched, "the user's own settings file was changed"


def test_no_other_logger_is_known_to_ultralytics() -> None:
    """A new one would be switched on by itself: name it in ``OFF``."""
    pytest.importorskip("ultralytics")
    from ultralytics.utils import SETTINGS

    quiet_ultralytics()
    on = [key for key, value in SETTINGS.items() if value is True and not key.endswith("_msg")]
    assert not on
    assert set(OFF) <= set(SETTINGS), "a key that Ultralytics does not know does nothing"


def test_without_ultralytics_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics.utils", None)
    with pytest.raises(TrainingError, match=r"lidloop\[train\]"):
        quiet_ultralytics()
