"""Report of a run: a self-contained HTML page, and ``summary.json``."""

from __future__ import annotations

from lidloop.report.write import regenerate, write_report

__all__ = ["regenerate", "write_report"]
