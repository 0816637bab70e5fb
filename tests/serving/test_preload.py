"""The libraries of FHIR and DICOM: not loaded before a server is ready, loaded before they are needed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest


def test_warming_up_loads_what_the_first_answer_needs() -> None:
    script = (
        "import sys\n"
        "import serving.app\n"
        "from serving.preload import warm_formats\n"
        "heavy = ['pydicom', 'highdicom', 'fhir.resources.R4B.bundle']\n"
        "assert not [name for name in heavy if name in sys.modules]\n"
        "warm_formats()\n"
        "assert all(name in sys.modules for name in heavy)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_server_warms_up_beside_its_first_requests(
    make_client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def warming() -> None:
        begun.set()
        go_on.wait(60)

    monkeypatch.setattr("serving.app.warm_formats", warming)
    client = make_client()
    assert begun.wait(60)
    assert client.get("/readyz").status_code == 200
    go_on.set()
