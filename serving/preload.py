"""Imports of a server, one thread at a time: two threads that import the same libraries may find each other's
modules half initialised.

What every request needs is imported before the server is ready. The FHIR and DICOM libraries take seconds:
they are imported in a thread beside a server that is ready, and a request that needs them waits for it.
"""

from __future__ import annotations

import functools
import importlib
import logging
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import anyio
import cv2
import numpy as np

from lidloop.images import decode_rgb
from lidloop.screening.screen import ModelInfo, Screening
from serving.protocols import fhir
from serving.protocols.dicom import structured_report

log: Final = logging.getLogger("lidloop.serving")

_EMPTY: Final = Screening(1, 1, False, (), ModelInfo("warm-up", None, 0, "0" * 64), {})
_MODULES: Final = (
    "fhir.resources.R4B.annotation",
    "fhir.resources.R4B.codesystem",
    "fhir.resources.R4B.observation",
    "fhir.resources.R4B.quantity",
    "fhir.resources.R4B.reference",
    "pydicom.config",
    "pydicom.datadict",
    "pydicom.encaps",
    "pydicom.filereader",
    "pydicom.pixels.decoders.base",
    "pydicom.uid",
    "highdicom.sr",
)
"""Modules that answers about a face, and reading a DICOM photograph, import when they are first needed."""

_started = threading.Event()
_stopping = threading.Event()
_finished = threading.Event()


async def import_common() -> None:
    """Import what every request needs, in this thread: the decoders of pictures, and anyio's event loop."""
    for suffix in (".png", ".jpg"):
        picture = cv2.imencode(suffix, np.zeros((8, 8, 3), np.uint8))[1].tobytes()
        decode_rgb(picture, where="a test picture", max_pixels=64)
    await anyio.Path(__file__).exists()


def start() -> None:
    """Start the thread that imports the FHIR and DICOM libraries, once in a process."""
    if not _started.is_set():
        _started.set()
        threading.Thread(target=_run, name="preload", daemon=True).start()


def wait() -> None:
    """Wait until the thread has ended; return at once where none was started, as in a command."""
    if _started.is_set():
        _finished.wait()


def stop() -> None:
    """Stop the thread after the library that it is importing: a process that ends meanwhile may abort."""
    _stopping.set()
    wait()


def steps() -> list[Callable[[], object]]:
    """Return the imports in their order; the last ones render an empty FHIR and an empty DICOM answer."""
    now, identity = datetime.now(UTC), str(uuid.uuid4())
    return [
        *(functools.partial(importlib.import_module, name) for name in _MODULES),
        lambda: fhir.bundle(_EMPTY, request_id=identity, issued=now).model_dump_json(),
        lambda: structured_report.report(_EMPTY, None, request_id=identity, issued=now),
    ]


def _run() -> None:
    try:
        for step in steps():
            if _stopping.is_set():
                return
            step()
    except Exception:
        # A request in such a format meets the same error, and says so.
        log.exception("the libraries for FHIR and DICOM cannot be imported")
    finally:
        _finished.set()
