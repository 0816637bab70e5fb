"""A local run with progress output and a table of its results."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import typer

from lidloop.cli.console import add_row, console, new_table, say
from pipelines.local.engine import Interrupted
from pipelines.local.view import LiveView, NoOutput, Plain, duration
from pipelines.settings import RunSettings


def follow(
    settings: RunSettings,
    *,
    out: Path,
    fresh: bool = False,
    quiet: bool = False,
    engine: str = "process",
    image: str = "",
) -> Any:
    """Run the loop with progress output, print its results, and return the ``RunResult``.

    Args:
        settings, out, fresh, engine, image: as of ``run_local``.
        quiet: print nothing.

    Raises:
        typer.Exit: with status 130 after Ctrl-C or SIGTERM.
        RunError: as of ``run_local``.
    """
    from pipelines.local.run import run_local

    terminal = console(stderr=True)
    view: Any
    if quiet:
        view = nullcontext(NoOutput())
    elif terminal.is_terminal:
        view = LiveView(terminal, iterations=settings.iterations)
    else:
        view = nullcontext(Plain(terminal))
    try:
        with view as shown:
            result = run_local(settings, out=out, fresh=fresh, view=shown, engine=engine, image=image)
    except Interrupted as error:
        say(error, err=True)
        raise typer.Exit(130) from error
    if not quiet:
        _print_end(result)
    return result


def _print_end(result: Any) -> None:
    """Print growth and gold metrics of every iteration, the champion and the report."""
    summary = result.summary
    champion = summary["champion"]
    table = new_table("iteration", "labels", "grown", "recall", "NME", "lid error", "time", lines=False)
    for row in summary["iterations"]:
        gold = row["metrics"]["gold"]
        star = "★ " if row["iteration"] == champion["iteration"] else ""
        seconds = row["seconds"]["total"]
        add_row(
            table,
            f"{star}{row['iteration']}",
            _shown(row["labels"]["total"]),
            _shown(row["labels"]["grown"]),
            *(_percent(gold.get(name)) for name in ("recall", "nme", "lid_error")),
            "–" if seconds is None else duration(seconds),
        )
    console().print(table)
    if summary["stopped_early"]:
        say(f"stopped early: {summary['stopped_early']}")
    if champion["iteration"] is None and champion.get("model_version"):
        leader = f"stays version {champion['model_version']} of another run, in {result.registry}"
    elif champion["iteration"] is None:
        leader = "none: no model passed the promotion gate, see `lidloop registry list`"
    else:
        leader = (
            f"iteration {champion['iteration']}, version {champion['model_version']} in {result.registry}"
        )
    for name, text in (("champion", leader), ("report", str(result.out / "report.html"))):
        say(f"{name + ':':<10}{text}")


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f} %"
