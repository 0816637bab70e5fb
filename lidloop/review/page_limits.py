"""Limits of a page with faces to review."""

from __future__ import annotations

from typing import Final

PAGE_BYTES: Final = 40_000_000
"""JPEG bytes of all faces of a page; as text in the page they take a third more."""
FACE_BYTES: Final = 60_000
"""JPEG bytes of one face, however few there are."""
MAX_FACES: Final = 2000
"""Faces of one page, so that each may have 20 kB."""
