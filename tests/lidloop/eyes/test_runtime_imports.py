from __future__ import annotations

import subprocess
import sys

SERVING = "import sys, serving.app, serving.server, lidloop.screening.screen; print(*sys.modules)"


def test_serving_imports_neither_training_nor_drawing_code() -> None:
    done = subprocess.run([sys.executable, "-c", SERVING], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "lidloop.eyes.network" in loaded
    unwanted = ("lidloop.eyes_training", "lidloop.synthetic", "torch", "ultralytics")
    assert [name for name in loaded if name.startswith(unwanted)] == []
