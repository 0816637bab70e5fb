"""Kinds of names that an export gives to pictures. Imports nothing heavy."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

MAX_HOURS: Final = 168
"""Longest validity of a URL: S3 signs for seven days at most."""


class How(StrEnum):
    """Path on this machine, address in the store, or URL that is valid for some hours."""

    PATH = "path"
    S3 = "s3"
    PRESIGNED = "presigned"
