"""A thread that reads one source again and again, and what it knows of it: a scrape waits for nobody."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from lidloop.errors import DatasetError, LidloopError, ModelError

_log = logging.getLogger("lidloop")

REASONS: Final = ("unreachable", "refused", "damaged", "timeout", "other")
STUCK: Final = 600.0
"""Seconds of one reading after which it counts as stuck."""

_BY_TEXT: Final = (
    ("refused", r"\b401\b|\b403\b|unauthori|permission|may not be read|denie|access key|secret key|token"),
    ("timeout", r"timed? ?out|no answer in time|no answer to a connection|locked"),
    ("damaged", r"damaged|not a database|malformed|no such table|does not answer as"),
    (
        "unreachable",
        r"there is no|no registry answers|refused|unreachable|unknown|cut|max retries|HTTP 5\d\d",
    ),
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """What is known of a source at one moment.

    Attributes:
        reading: the last good one; None before the first. at: when that was, as a Unix time.
        up: whether the last reading went well. seconds: how long it took; None before the first.
        errors: failed readings by reason.
    """

    reading: T | None = None
    at: float | None = None
    up: bool = False
    seconds: float | None = None
    errors: Counter[str] = field(default_factory=Counter)


class Reader(Generic[T]):
    """Calls ``read`` every ``interval`` seconds in a thread of its own."""

    def __init__(self, name: str, read: Callable[[], T], *, interval: float) -> None:
        """Start nothing yet."""
        self.name, self.interval = name, interval
        self._read = read
        self._known: Known[T] = Known()
        self._said = ""
        self._begun: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"read-{name}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no further reading; one that is under way is not waited for."""
        self._stop.set()

    @property
    def known(self) -> Known[T]:
        """What is known now."""
        return self._known

    @property
    def healthy(self) -> bool:
        """Whether it still reads: its thread lives, and no reading is stuck."""
        begun = self._begun
        return self._thread.is_alive() and (begun is None or time.monotonic() - begun < STUCK)

    def _work(self) -> None:
        while not self._stop.is_set():
            self.read_once()
            self._stop.wait(self.interval)

    def read_once(self) -> None:
        """Read now; what goes wrong is said, once for as long as it stays the same, and counted."""
        before = self._known
        errors = Counter(before.errors)
        start = self._begun = time.monotonic()
        try:
            reading = self._read()
        except Exception as error:  # the thread must live on, whatever it was
            errors[reason(error)] += 1
            self._say(error)
            self._known = Known(before.reading, before.at, False, time.monotonic() - start, errors)
        else:
            if self._said:
                _log.info("%s: read again", self.name)
            self._said = ""
            self._known = Known(reading, time.time(), True, time.monotonic() - start, errors)
        finally:
            self._begun = None

    def _say(self, error: Exception) -> None:
        text = str(error)
        if text == self._said:
            return
        self._said = text
        known = isinstance(error, LidloopError)
        _log.error("%s: %s", self.name, text or type(error).__name__, exc_info=None if known else error)


def reason(error: BaseException) -> str:
    """Why a reading failed, as one of ``REASONS``."""
    if isinstance(error, ModelError | DatasetError):
        return "damaged"
    cause: BaseException | None = error
    chain: list[Any] = []
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__
    if any(isinstance(c, TimeoutError) or "Timeout" in type(c).__name__ for c in chain):
        return "timeout"
    if isinstance(error, LidloopError):
        for name, pattern in _BY_TEXT:
            if re.search(pattern, str(error), re.IGNORECASE):
                return name
    if any(isinstance(c, ConnectionError | FileNotFoundError) for c in chain):
        return "unreachable"
    return "other"
