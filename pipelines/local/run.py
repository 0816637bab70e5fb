"""The loop on this machine: the very pipeline that a cluster runs, under ``kfp.local``."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lidloop.errors import LidloopError
from pipelines.kfp_import import import_kfp
from pipelines.local.containers import Containers, ready
from pipelines.local.engine import StepRecord, execute, locked
from pipelines.local.folder import PIPELINE, begin, collect
from pipelines.local.view import Quiet, View
from pipelines.settings import RunSettings

ENGINES: Final = ("process", "docker")
"""What runs the steps; the first is the default."""


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        out: its folder, with ``report.html``.
        run: its name in the registry.
        registry: folder or address of the registry.
        summary: the content of ``summary.json``.
        steps: every step of this start, in the order in which they began.
    """

    out: Path
    run: str
    registry: str
    summary: dict[str, Any]
    steps: list[StepRecord]


def run_local(
    settings: RunSettings,
    *,
    out: Path,
    fresh: bool = False,
    view: View | None = None,
    engine: str = ENGINES[0],
    image: str = "",
) -> RunResult:
    """Run the loop in the folder ``out``, or go on with a run that was killed there.

    Finished steps are not run again, and a killed training goes on from its last epoch. What is there when
    it ends is described in ``pipelines.local.run.folder``.

    Args:
        settings: what to do. They must be those that the run in ``out`` was begun with.
        out: the run's folder.
        fresh: begin anew, whatever run is there.
        view: what a person sees meanwhile; nothing by default.
        engine: ``process``: steps are processes of this machine; ``docker``: containers.
        image: that containers are made of; default: ``pipelines.local.run.containers.DEFAULT_IMAGE``.

    Raises:
        ContainerError: where there can be no containers.
        RunError: where a step fails, another run works in ``out``, or it holds something else.
        Interrupted: after Ctrl-C or SIGTERM.
    """
    try:
        import_kfp()
        from pipelines.refinement import compile_pipeline
    except ImportError as error:
        raise LidloopError(f"a run needs KFP ({error}): pip install 'lidloop[pipeline]'") from error
    if engine not in ENGINES:
        raise LidloopError(f"--engine must be {' or '.join(ENGINES)}, not {engine!r}")
    if image and engine != "docker":
        raise LidloopError("--image is for --engine docker")
    out = Path(os.path.abspath(out))
    containers = Containers.of(settings, out, image) if engine == "docker" else None
    with locked(out) as lock, ready(containers) if containers else nullcontext():
        run = begin(out, settings.identity(out), fresh=fresh)
        compile_pipeline(out / PIPELINE, settings.iterations)
        parameters = settings.parameters(out=out, run=run)
        steps = execute(
            out / PIPELINE, parameters, out, lock=lock, view=view or Quiet(), containers=containers
        )
        summary = collect(out, steps)
    return RunResult(out, run, parameters["registry"], summary, steps)
