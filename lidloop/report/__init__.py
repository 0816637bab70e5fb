"""The report of a run: one HTML page that needs nothing else, and ``summary.json`` beside it."""

from __future__ import annotations

from lidloop.report.write import regenerate, write_report

__all__ = ["regenerate", "write_report"]
