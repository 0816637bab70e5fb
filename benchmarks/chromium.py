"""Chromium of this machine. Its headless shell draws no windows and needs half the processor time."""

from __future__ import annotations

import shutil
from typing import Final

PROGRAMS: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""Names of the program, the best first."""

MISSING: Final = f"no Chromium (Debian: apt-get install {PROGRAMS[0]})"


def find() -> str | None:
    """Path of the first program that is installed; None without one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def required() -> str:
    """Path of the first program that is installed.

    Raises:
        RuntimeError: without one.
    """
    program = find()
    if program is None:
        raise RuntimeError(MISSING)
    return program
