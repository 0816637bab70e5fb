"""Review of labels by people: the order in which to look, decisions, and their way into a label version."""

from __future__ import annotations

from typing import Final

REVIEWED: Final = "reviewed"
"""Folder below a run's that holds the label versions made by people."""
