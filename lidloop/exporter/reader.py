"""Background thread that reads one source periodically and keeps the last result; scrapes never wait."""

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
"""Seconds after which a reading counts as stuck."""

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
class ReaderState(Generic[T]):
    """State of a reader.

    Attributes:
        reading: the last successful reading; None before the first.
        at: Unix time of that reading.
        up: True if the last reading succeeded.
        seconds: duration of the last reading; None before the first.
        errors: number of failed readings by reason.
    """

    reading: T | None = None
    at: float | None = None
    up: bool = False
    seconds: float | None = None
    errors: Counter[str] = field(default_factory=Counter)


class Reader(Generic[T]):
    """Calls ``read`` every ``interval`` seconds in its own thread."""

    def __init__(self, name: str, read: Callable[[], T], *, interval: float) -> None:
        """Create the reader; ``start`` starts its thread."""
        self.name, self.interval = name, interval
        self._read = read
        self._state: ReaderState[T] = ReaderState()
        self._last_error = ""
        self._started: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"read-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Start no further reading; does not wait for a running one."""
        self._stop.set()

    @property
    def state(self) -> ReaderState[T]:
        """Current state."""
        return self._state

    @property
    def healthy(self) -> bool:
        """True if the thread is alive and no reading is stuck."""
        started = self._started
        return self._thread.is_alive() and (started is None or time.monotonic() - started < STUCK)

    def _work(self) -> None:
        while not self._stop.is_set():
            self.read_once()
            self._stop.wait(self.interval)

    def read_once(self) -> None:
        """Read now. An error is counted, and logged unless it repeats the previous one."""
        before = self._state
        errors = Counter(before.errors)
        start = self._started = time.monotonic()
        try:
            reading = self._read()
        except Exception as error:  # any error must not end the thread
            errors[reason(error)] += 1
            self._log_error(error)
            self._state = ReaderState(before.reading, before.at, False, time.monotonic() - start, errors)
        else:
            if self._last_error:
                _log.info("%s: read again", self.name)
            self._last_error = ""
            self._state = ReaderState(reading, time.time(), True, time.monotonic() - start, errors)
        finally:
            self._started = None

    def _log_error(self, error: Exception) -> None:
        text = str(error)
        if text == self._last_error:
            return
        self._last_error = text
        expected = isinstance(error, LidloopError)
        _log.error("%s: %s", self.name, text or type(error).__name__, exc_info=None if expected else error)


def reason(error: BaseException) -> str:
    """Classify the error of a failed reading as one of ``REASONS``."""
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
