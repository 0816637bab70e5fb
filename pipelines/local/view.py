"""Progress output of a run: a live view in a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import time
from typing import Final, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from lidloop.errors import printable

TITLES: Final = {
    "convert": "read the sources",
    "train": "train",
    "auto_label": "auto-label",
    "nms_filter": "filter",
    "evaluate": "evaluate",
    "register": "register",
    "promote": "choose the champion",
    "report": "write the report",
}
"""Titles of the steps."""

_COUNT: Final = re.compile(r"(\d+) of (\d+)")


class View(Protocol):
    """Receiver of the events of a run."""

    def started(self, step: str, iteration: int | None, shard: str | None, cached: bool) -> None: ...
    def said(self, step: str, iteration: int | None, level: str, text: str) -> None: ...
    def ended(
        self, step: str, iteration: int | None, shard: str | None, seconds: float, cached: bool
    ) -> None: ...


def title(step: str, iteration: int | None = None, shard: str | None = None) -> str:
    """Return a step's title, such as ``iteration 2 · auto-label 1/4``."""
    name = TITLES.get(step, step)
    if shard is not None:
        index, count = shard.split("/")
        name = f"{name} {int(index) + 1}/{count}" if count != "1" else name
    return name if iteration is None else f"iteration {iteration} · {name}"


def duration(seconds: float) -> str:
    """Return a duration in seconds as text: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class NoOutput:
    """View that prints nothing."""

    def started(self, step: str, iteration: int | None, shard: str | None, cached: bool) -> None:
        pass

    def said(self, step: str, iteration: int | None, level: str, text: str) -> None:
        pass

    def ended(
        self, step: str, iteration: int | None, shard: str | None, seconds: float, cached: bool
    ) -> None:
        pass


class Plain(NoOutput):
    """View that prints a line for every event, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def _line(self, text: str) -> None:
        self.console.print(
            printable(f"{time.strftime('%H:%M:%S')} {text}"), markup=False, highlight=False, soft_wrap=True
        )

    def said(self, step: str, iteration: int | None, level: str, text: str) -> None:
        if level == "INFO":
            self._line(f"{title(step, iteration)}: {text}")
        elif level == "WARNING":
            self._line(f"{title(step, iteration)}: warning: {text}")

    def started(self, step: str, iteration: int | None, shard: str | None, cached: bool) -> None:
        if not cached:
            self._line(title(step, iteration, shard))

    def ended(
        self, step: str, iteration: int | None, shard: str | None, seconds: float, cached: bool
    ) -> None:
        what = "taken from the cache" if cached else f"done in {duration(seconds)}"
        self._line(f"{title(step, iteration, shard)}: {what}")


class LiveView:
    """View for a terminal: a line for every finished step, and the running steps with their last message.

    Use as a context manager.
    """

    def __init__(self, console: Console, *, iterations: int) -> None:
        self.console, self.iterations = console, iterations
        self._running: dict[tuple[str, int | None, str | None], float] = {}
        self._last: dict[tuple[str, int | None], str] = {}
        self._iteration: int | None = None
        self._finished = 0
        self._begun = time.monotonic()
        self._spinner = Spinner("dots")
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8, transient=True)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._running.clear()
        self._live.__exit__(None, None, None)

    def started(self, step: str, iteration: int | None, shard: str | None, cached: bool) -> None:
        if iteration is not None and iteration != self._iteration:
            self._iteration = iteration
            self.console.rule(f"iteration {iteration} of 0…{self.iterations - 1}", align="left", style="dim")
        self._running[step, iteration, shard] = time.monotonic()

    def said(self, step: str, iteration: int | None, level: str, text: str) -> None:
        if level == "WARNING":
            message = printable(f" {title(step, iteration)}: {text}")
            self.console.print(Text.assemble("  ", ("!", "yellow"), message), highlight=False)
        elif level == "INFO":
            self._last[step, iteration] = text

    def ended(
        self, step: str, iteration: int | None, shard: str | None, seconds: float, cached: bool
    ) -> None:
        self._running.pop((step, iteration, shard), None)
        self._finished += 1
        took = "taken from the cache" if cached else duration(seconds)
        last = "" if cached else printable(self._last.get((step, iteration), ""))
        line = Text.assemble(
            "  ", ("✓", "green"), f" {title(step, None, shard):<22} ", (f"{took}  {last}", "dim")
        )
        self.console.print(line, highlight=False)

    def _render(self) -> RenderableType:
        now = time.monotonic()
        table = Table.grid(padding=(0, 1))
        for (step, iteration, shard), begun in self._running.items():
            text = self._last.get((step, iteration), "")
            count = _COUNT.search(text)
            bar: RenderableType = ""
            if count and 0 < int(count[2]) >= int(count[1]):
                bar = ProgressBar(total=int(count[2]), completed=int(count[1]), width=24)
            table.add_row(
                self._spinner,
                Text(title(step, iteration, shard), style="bold"),
                duration(now - begun),
                bar,
                Text(printable(text)),
            )
        total = f"{self._finished} steps done, {duration(now - self._begun)}"
        return Group(table, Text(total, style="dim"))
