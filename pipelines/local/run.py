"""Local run of the loop: the pipeline of the cluster under ``kfp.local``."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lidloop.errors import LidloopError, doing
from pipelines.kfp_import import import_kfp
from pipelines.local.containers import Containers, ready
from pipelines.local.engine import RunError, StepRecord, execute, locked
from pipelines.local.folder import PIPELINE, begin, collect
from pipelines.local.view import NoOutput, View
from pipelines.settings import RunSettings

ENGINES: Final = ("process", "docker")
"""Engines that run the steps; the first is the default."""


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
    """Run the loop in the folder ``out``, or resume the run that was stopped there.

    Finished steps are not repeated, and a killed training is resumed from its last epoch. The files of the
    folder are described in ``pipelines.local.folder``.

    Args:
        settings: settings of the run; to resume a run they must be the same as before.
        out: folder of the run.
        fresh: delete the run in ``out`` and start anew.
        view: progress output; none by default.
        engine: ``process`` runs steps as processes of this machine, ``docker`` as containers.
        image: image of the containers; default: ``pipelines.local.containers.DEFAULT_IMAGE``.

    Raises:
        ContainerError: if containers cannot be used.
        RunError: if a step fails, another run uses ``out``, or it holds other files.
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
    with (
        doing(f"run in {out}", RunError),
        locked(out) as lock,
        ready(containers) if containers else nullcontext(),
    ):
        run = begin(out, settings.identity(out), fresh=fresh)
        compile_pipeline(out / PIPELINE, settings.iterations)
        parameters = settings.parameters(out=out, run=run)
        steps = execute(
            out / PIPELINE, parameters, out, lock=lock, view=view or NoOutput(), containers=containers
        )
        summary = collect(out, steps)
    return RunResult(out, run, parameters["registry"], summary, steps)
