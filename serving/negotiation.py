"""Which of several media types a caller wants: ``Accept`` of RFC 9110, section 12.5.1."""

from __future__ import annotations

from collections.abc import Sequence

from lidloop.web.problems import Problem


def choose(accept: str, offered: Sequence[str]) -> str:
    """The offered type with the highest quality; of equals, the first offered.

    Args:
        accept: the header's value; empty: anything.
        offered: media types, the preferred one first.

    Raises:
        Problem: 406 where none is acceptable.
    """
    ranges = [_range(part) for part in accept.split(",") if part.strip()]
    if not ranges:
        return offered[0]
    best = max(offered, key=lambda kind: _quality(kind, ranges))
    if _quality(best, ranges) <= 0:
        raise Problem("not-acceptable", f"Accept allows none of {', '.join(offered)}", offered=list(offered))
    return best


def _range(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                quality = min(1.0, max(0.0, float(parameter[2:])))
            except ValueError:
                quality = 0.0
    return kind, quality


def _quality(kind: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Quality that the most specific matching range gives."""
    group = kind.partition("/")[0] + "/*"
    for name in (kind, group, "*/*"):
        matching = [quality for found, quality in ranges if found == name]
        if matching:
            return max(matching)
    return 0.0
