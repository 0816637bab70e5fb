"""uvicorn's HTTP/1.1 protocol with time limits for slow or greedy clients.

uvicorn limits the time between two requests of a connection, h11 the size of headers, and the apps the time
and size of bodies. Added here:

- a time-out for the headers of a request: without it a few thousand idle sockets keep others out;
- a time-out for a client that does not read its answer;
- a lingering close. A connection that is closed while the client is still sending is reset, and the client
  never reads the answer. So the rest of the body is received and discarded for a while, up to a limit of time
  and bytes, and then the connection is closed.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS: Final = 10.0
"""Time that a client may take for the headers of a request."""
WRITE_SECONDS: Final = 30.0
"""Time in which a client must read some of an answer that waits for it."""
LINGER_SECONDS: Final = 5.0
LINGER_BYTES: Final = 64 * 1024 * 1024
"""Limits of a lingering close."""


class Connection(H11Protocol):
    """The protocol with these limits."""

    _head: asyncio.TimerHandle | None = None
    _write: asyncio.TimerHandle | None = None
    _end: asyncio.TimerHandle | None = None
    _left = LINGER_BYTES
    _lost = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Transport(transport, self))  # type: ignore[arg-type]
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if self.lingers:
            self._left -= len(data)
            if self._left < 0:
                self.transport.abort()
            return
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._await_head()
        else:
            self._head_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._head_received()
        self._written()
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.await_write()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._written()

    def shutdown(self) -> None:
        if self.lingers:
            self.transport.abort()
        else:
            super().shutdown()

    @property
    def lingers(self) -> bool:
        """True if the answer has been sent and the rest of the request is being discarded."""
        return self._end is not None

    def begin_to_linger(self) -> bool:
        """Start a lingering close; False if the client has nothing more to send."""
        if self._lost or self.conn.their_state not in (h11.SEND_BODY, h11.ERROR):
            return False
        if not self.lingers:
            self._head_received()
            self._end = self.loop.call_later(LINGER_SECONDS, self.transport.abort)
            self.flow.resume_reading()
        return True

    def await_write(self) -> None:
        """Start the time-out for a client that reads nothing of what is buffered for it."""
        if self._write is None and not self._lost:
            self._watch_write()

    def _watch_write(self, before: int | None = None) -> None:
        waiting = self.transport.get_write_buffer_size()
        if before is not None and waiting >= before:
            self.transport.abort()
        else:
            self._write = self.loop.call_later(WRITE_SECONDS, self._watch_write, waiting)

    def _written(self) -> None:
        if self._write is not None:
            self._write.cancel()
            self._write = None

    def _await_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_received(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class _Transport:
    """A transport that is closed in two steps while the client is still sending: at first for writing only,
    so that the answer can be read to its end, and later altogether."""

    def __init__(self, transport: Any, connection: Connection) -> None:
        self._transport, self._connection = transport, connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        if not self._transport.is_closing() and self._connection.begin_to_linger():
            if self._transport.can_write_eof():  # not over TLS
                self._transport.write_eof()
        else:
            self._transport.close()
            self._connection.await_write()  # closing waits until the buffer is sent

    def is_closing(self) -> bool:
        return self._connection.lingers or bool(self._transport.is_closing())
