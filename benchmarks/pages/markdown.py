"""Render Markdown pages from Jinja templates, which stand beside their generators as ``*.md.j2``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
from rich.filesize import decimal

ROOT: Final = Path(__file__).parents[1]
"""The folder ``benchmarks``; templates are named relative to it."""
NONE: Final = "–"
"""Shown where there is no value."""


def render(template: str, **values: Any) -> str:
    """Render a template with values; an undefined name is an error, and nothing is escaped.

    Args:
        template: path below ``benchmarks``, such as ``drift/page.md.j2``.

    Returns:
        Text that ends with one line feed and has no two empty lines in a row.

    Raises:
        jinja2.UndefinedError: for a name that neither ``values`` nor the template defines.
    """
    text = _environment().get_template(template).render(values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table, its cells escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def number(value: float | None, digits: int = 0, comma: bool = True) -> str:
    """A number with so many digits after the point, thousands separated by a comma."""
    return NONE if value is None else f"{value:{',' if comma else ''}.{digits}f}"


def signed(value: float | None, digits: int = 2) -> str:
    """A number with its sign."""
    return NONE if value is None else f"{value:+.{digits}f}"


def general(value: float) -> str:
    """A number without trailing zeros, such as ``0.25``."""
    return f"{value:g}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 0 to 1 in per cent."""
    return NONE if share is None else f"{100 * share:.{digits}f} %"


def quantiles(values: Sequence[float] | None) -> str:
    """Median and 90th percentile, separated by a stroke."""
    return NONE if values is None else " / ".join(f"{value:.2f}" for value in values)


def megabytes(size: float) -> str:
    """A number of bytes in megabytes."""
    return f"{size / 1e6:.2f} MB"


def bytes_of(size: float) -> str:
    """A number of bytes with the unit that suits it, in powers of 1000."""
    return decimal(int(size))


def duration(seconds: float) -> str:
    """Seconds in the largest unit of which there are two or more."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.{0 if seconds >= 10 * size else 1}f} {unit}"
    return f"{seconds:.0f} s"


def code(text: object) -> str:
    """Text in back-ticks."""
    return f"`{text}`"


def cell(text: object) -> str:
    """Text that does not break a table: bars escaped, line feeds replaced."""
    return str(text).replace("|", "\\|").replace("\n", " ")


FILTERS: Final = {
    "number": number,
    "signed": signed,
    "general": general,
    "percent": percent,
    "quantiles": quantiles,
    "megabytes": megabytes,
    "bytes": bytes_of,
    "duration": duration,
    "code": code,
    "cell": cell,
}


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOT),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= FILTERS
    return environment
