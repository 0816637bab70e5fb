"""Import of KFP without its cluster client, which takes four fifths of the import time."""

from __future__ import annotations

import os
import sys
from typing import Final

_SWITCH: Final = "_KFP_RUNTIME"


def import_kfp() -> None:
    """Import ``kfp`` without its client, as KFP does inside steps, unless it is imported already.

    KFP's ``__init__`` skips the client if an internal environment variable is set; ``from kfp.client import
    Client`` works afterwards. Without that variable in a later KFP this is an ordinary import.

    Raises:
        ImportError: if KFP is not installed.
    """
    if "kfp" in sys.modules:
        return
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "true"
    try:
        import kfp  # noqa: F401
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before
