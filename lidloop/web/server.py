"""Listening sockets, and uvicorn with the limits of ``h11_limits``; the same for every service."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from lidloop.errors import LidloopError

if TYPE_CHECKING:
    import uvicorn

_BACKLOG = 256
_KEEP_ALIVE_SECONDS = 75


def listen(host: str, port: int, *, option: str = "--port") -> socket.socket:
    """Open a listening socket.

    Args:
        host: name or address to listen on.
        port: TCP port; 0 takes a free one.
        option: the option of the command line that the message names.

    Raises:
        LidloopError: where the address is taken or is not one of this machine.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise LidloopError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another {option}"
        ) from None


def url(listening: socket.socket, host: str, *, scheme: str = "http") -> str:
    """Return the URL of a server that listens on ``host``."""
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}:{listening.getsockname()[1]}"


def uvicorn_config(app: Any, *, grace: float, **more: Any) -> uvicorn.Config:
    """Return a configuration of uvicorn with limits, and without what it would log or tell of requests.

    Args:
        app: the ASGI app, or the import path of a function that makes it.
        grace: seconds that a stop waits for requests that are being answered.
        more: further arguments of ``uvicorn.Config``.
    """
    import uvicorn

    from lidloop.web.h11_limits import Connection

    settings: dict[str, Any] = {
        "http": Connection,
        "ws": "none",
        # Proxies are handled by lidloop.web.peers: uvicorn would believe whoever connects.
        "proxy_headers": False,
        # Warnings are about requests that are not HTTP, as many as a caller likes to send.
        "log_level": "error",
        "access_log": False,  # it writes addresses with their query strings
        "server_header": False,
        "timeout_keep_alive": _KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": max(1, round(grace)),
    }
    return uvicorn.Config(app, factory=isinstance(app, str), **(settings | more))
