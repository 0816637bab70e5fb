"""Events with their times, and samples of the drift of traffic."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from benchmarks.common import Progress

T = TypeVar("T")


class TimedOut(Exception):
    """Raised when an expected event does not happen in time."""


@dataclass
class Timeline:
    """Records events and samples; seconds count from its creation."""

    progress: Progress
    started: float = field(default_factory=time.monotonic)
    events: list[dict[str, Any]] = field(default_factory=list)
    drift: list[dict[str, Any]] = field(default_factory=list)

    @property
    def now(self) -> float:
        return time.monotonic() - self.started

    def event(self, name: str, text: str) -> None:
        """Record an event."""
        at = round(self.now, 1)
        self.events.append({"at": at, "name": name, "text": text})
        self.progress(f"[{at:6.1f} s] {text}")

    def sample(self, psi: Mapping[str, float], version: str) -> None:
        """Record the drift of traffic by feature, against the profile of ``version``."""
        if psi:
            self.drift.append({"at": round(self.now, 1), "version": version, "psi": dict(psi)})

    def wait(self, what: str, seconds: float, look: Callable[[], T | None], every: float = 0.5) -> T:
        """Call ``look`` until it returns something true, and return that.

        Raises:
            TimedOut: after ``seconds``; names ``what``.
        """
        end = time.monotonic() + seconds
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > end:
                raise TimedOut(f"not within {seconds:.0f} s: {what}")
            time.sleep(every)
