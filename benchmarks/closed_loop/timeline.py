"""What happened when, and how far traffic was from what the model knows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from benchmarks.common import Progress

T = TypeVar("T")


class NotSeen(Exception):
    """Something that should happen did not, in the time that it was given."""


@dataclass
class Timeline:
    """Seconds count from its making."""

    progress: Progress
    started: float = field(default_factory=time.monotonic)
    events: list[dict[str, Any]] = field(default_factory=list)
    drift: list[dict[str, Any]] = field(default_factory=list)

    @property
    def now(self) -> float:
        return time.monotonic() - self.started

    def event(self, name: str, text: str) -> None:
        """Something happened."""
        at = round(self.now, 1)
        self.events.append({"at": at, "name": name, "text": text})
        self.progress(f"[{at:6.1f} s] {text}")

    def sample(self, psi: Mapping[str, float], version: str) -> None:
        """A look at the drift of traffic, by feature, against the profile of ``version``."""
        if psi:
            self.drift.append({"at": round(self.now, 1), "version": version, "psi": dict(psi)})

    def wait(self, what: str, seconds: float, look: Callable[[], T | None], every: float = 0.5) -> T:
        """Ask ``look`` until it answers something true.

        Raises:
            NotSeen: after ``seconds``; names ``what``.
        """
        end = time.monotonic() + seconds
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > end:
                raise NotSeen(f"not within {seconds:.0f} s: {what}")
            time.sleep(every)
