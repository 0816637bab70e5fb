"""Nothing is reported to anybody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("first", "silent"), [("lidloop.detection.detector", True), ("numpy", False)])
def test_onnx_runtime_keeps_no_id(tmp_path: Path, first: str, silent: bool) -> None:
    # An environment of nothing else: in CI it is silent by itself. The second case shows that the first one
    # tests something.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    code = f"import {first}, onnxruntime"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert (list(tmp_path.iterdir()) == []) is silent
