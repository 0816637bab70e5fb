"""Nothing is reported to anybody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("first", "silent"), [("lidloop.detector", True), ("numpy", False)])
def test_onnx_runtime_keeps_no_id(tmp_path: Path, first: str, silent: bool) -> None:
    # In CI it is silent by itself; the second case shows that the first one tests something.
    kept = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "XDG_CACHE_HOME")
    environment = {k: v for k, v in os.environ.items() if k not in kept and not k.startswith("GITHUB")}
    code = f"import {first}, onnxruntime"
    subprocess.run([sys.executable, "-c", code], env=environment | {"HOME": str(tmp_path)}, check=True)
    assert (list(tmp_path.iterdir()) == []) is silent
