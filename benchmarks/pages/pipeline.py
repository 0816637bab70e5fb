"""Tables of the pipeline: settings of a cluster, and parameters of a run."""

from __future__ import annotations

import inspect
import json
from typing import Any

from benchmarks.pages.markdown import table
from pipelines.cluster import Toleration
from pipelines.cluster_file import describe
from pipelines.kfp_import import import_kfp


def settings() -> str:
    """Settings of a cluster as a Markdown table."""
    rows = ((f"`{name}`", _shown(default), description) for name, default, description in describe())
    return table(("setting", "default", "description"), rows)


def parameters() -> str:
    """Parameters of the compiled pipeline as a Markdown table."""
    import_kfp()
    from pipelines.refinement import build_pipeline, parameter_texts

    texts = parameter_texts()
    rows = (
        (f"`{name}`", "" if parameter.default is parameter.empty else _shown(parameter.default), texts[name])
        for name, parameter in inspect.signature(build_pipeline(1).pipeline_func).parameters.items()
    )
    return table(("parameter", "default", "description"), rows)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        value = [
            {"key": part.key, "effect": part.effect} if isinstance(part, Toleration) else part
            for part in value
        ]
    if value in ("", [], {}):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"
