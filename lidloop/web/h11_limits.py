"""Connections on which little comes, or what nobody wants, do not last.

uvicorn has a time limit between two requests of a connection, and the app one for bodies. Here are two more:
for a request's head, without which a few thousand open sockets would be all it takes to keep others out; and
for what still comes of a body when the answer has been given. A connection that is closed on a caller who is
still sending is reset, and the caller never reads the answer: so the rest is taken in and forgotten for a
while, and then the connection ends, whether the body has or not.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS: Final = 10.0
LINGER_SECONDS: Final = 5.0
LINGER_BYTES: Final = 64 * 1024 * 1024


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with these limits. h11 limits the size of heads."""

    _head: asyncio.TimerHandle | None = None
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
            self._head_is_here()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._head_is_here()
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        if self.lingers:
            self.transport.abort()
        else:
            super().shutdown()

    @property
    def lingers(self) -> bool:
        """Whether the answer has been given, and only the rest of the request is waited for."""
        return self._end is not None

    def begin_to_linger(self) -> bool:
        """Called where the connection is to be closed; False where nothing more can come."""
        if self._lost or self.conn.their_state not in (h11.SEND_BODY, h11.ERROR):
            return False
        if not self.lingers:
            self._head_is_here()
            self._end = self.loop.call_later(LINGER_SECONDS, self.transport.abort)
            self.flow.resume_reading()
        return True

    def _await_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_is_here(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class _Transport:
    """A transport that is closed in two steps where the caller is still sending: first for writing, so that
    the answer can be read to its end, and then, later, altogether."""

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

    def is_closing(self) -> bool:
        return self._connection.lingers or bool(self._transport.is_closing())
