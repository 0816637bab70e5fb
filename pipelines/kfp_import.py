"""Importing KFP without its client for clusters, which is four fifths of the time that the import takes."""

from __future__ import annotations

import os
import sys
from typing import Final

_SWITCH: Final = "_KFP_RUNTIME"


def import_kfp() -> None:
    """Import ``kfp`` as its steps do, without the client, unless it is imported already.

    Only the package's own ``__init__`` is kept from importing the client; ``from kfp.client import Client``
    works as ever. Should KFP drop the switch, this is an ordinary import.

    Raises:
        ImportError: where KFP is not installed.
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
