"""A run before a person's eyes: what is shown meanwhile, and how it ended."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from pipelines.local.engine import Interrupted
from pipelines.local.view import LiveView, Plain, Quiet, duration
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
    """Run the loop before a person's eyes and print how it ended; return the ``RunResult``.

    Args:
        settings, out, fresh, engine, image: as ``run_local`` takes them.
        quiet: say nothing, neither meanwhile nor at the end.

    Raises:
        typer.Exit: with status 130 after Ctrl-C or SIGTERM.
        RunError: as ``run_local``.
    """
    from pipelines.local.run import run_local

    console = Console(stderr=True)
    view: Any
    if quiet:
        view = nullcontext(Quiet())
    elif console.is_terminal:
        view = LiveView(console, iterations=settings.iterations)
    else:
        view = nullcontext(Plain(console))
    try:
        with view as shown:
            result = run_local(settings, out=out, fresh=fresh, view=shown, engine=engine, image=image)
    except Interrupted as error:
        Console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(130) from error
    if not quiet:
        _print_end(result)
    return result


def _print_end(result: Any) -> None:
    """Growth and gold metrics by iteration, and where to look next."""
    console = Console()
    summary = result.summary
    champion = summary["champion"]
    table = Table("iteration", "labels", "grown", "recall", "NME", "lid error", "time", box=None)
    for row in summary["iterations"]:
        gold = row["metrics"]["gold"]
        star = "★ " if row["iteration"] == champion["iteration"] else ""
        seconds = row["seconds"]["total"]
        table.add_row(
            f"{star}{row['iteration']}",
            _shown(row["labels"]["total"]),
            _shown(row["labels"]["grown"]),
            *(_percent(gold.get(name)) for name in ("recall", "nme", "lid_error")),
            "–" if seconds is None else duration(seconds),
        )
    console.print(table)
    if summary["stopped_early"]:
        console.print(f"stopped early: {summary['stopped_early']}", highlight=False)
    if champion["iteration"] is None and champion.get("model_version"):
        leader = f"stays version {champion['model_version']} of another run, in {result.registry}"
    elif champion["iteration"] is None:
        leader = "none: no model passed the gold gate, see `lidloop registry list`"
    else:
        leader = (
            f"iteration {champion['iteration']}, version {champion['model_version']} in {result.registry}"
        )
    for name, text in (("champion", leader), ("report", str(result.out / "report.html"))):
        console.print(f"{name + ':':<10}{text}", highlight=False, soft_wrap=True)


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f} %"
