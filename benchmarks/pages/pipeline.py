"""Writes the tables of docs/PIPELINE.md from the code: settings of a cluster, parameters of the pipeline."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pipelines.cluster import Toleration, describe
from pipelines.kfp_import import import_kfp

PAGE: Final = Path(__file__).parents[2] / "docs" / "PIPELINE.md"
_MARK: Final = "<!-- {}: python -m benchmarks.pages.pipeline writes what follows -->"
_END: Final = "<!-- end of {} -->"


def main() -> None:
    """Write the page's tables anew."""
    PAGE.write_text(with_tables(PAGE.read_text()))


def with_tables(page: str) -> str:
    """The page with its tables as the code has them.

    Raises:
        ValueError: where the page lacks the marks that a table stands between.
    """
    for name, rows in (("settings", _settings()), ("parameters", _parameters())):
        begin, end = _MARK.format(name), _END.format(name)
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"the page lacks {begin} or {end}")
        page = "\n".join([before + begin, *rows, end + after])
    return page


def _settings() -> Iterator[str]:
    yield "| setting | default | |"
    yield "| --- | --- | --- |"
    for name, default, meaning in describe():
        yield f"| `{name}` | {_shown(default)} | {meaning} |"


def _parameters() -> Iterator[str]:
    import_kfp()
    from pipelines.refinement import build_pipeline, parameter_texts

    function = build_pipeline(1).pipeline_func
    texts = parameter_texts()
    yield "| parameter | default | |"
    yield "| --- | --- | --- |"
    for name, parameter in inspect.signature(function).parameters.items():
        default = "" if parameter.default is inspect.Parameter.empty else _shown(parameter.default)
        yield f"| `{name}` | {default} | {texts[name]} |"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        value = [
            {"key": part.key, "effect": part.effect} if isinstance(part, Toleration) else part
            for part in value
        ]
    if value in ("", [], {}):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


if __name__ == "__main__":
    sys.exit(main())
