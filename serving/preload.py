"""What only the first answer of a format would cost: the imports of its libraries, which take seconds."""

from __future__ import annotations

import functools
import uuid
from datetime import UTC, datetime
from typing import Final

from lidloop.screening.screen import ModelInfo, Screening
from serving.protocols import fhir
from serving.protocols.dicom import structured_report

_NOTHING: Final = Screening(1, 1, False, (), ModelInfo("warm-up", None, 0, "0" * 64), {})


@functools.cache
def warm_formats() -> None:
    """Make a FHIR and a DICOM answer about nothing, once. For a thread beside a server that is ready."""
    now = datetime.now(UTC)
    identity = str(uuid.uuid4())
    fhir.bundle(_NOTHING, request_id=identity, issued=now).model_dump_json()
    structured_report.report(_NOTHING, None, request_id=identity, issued=now)
