"""HTTP client of stores: TLS with a configurable CA, and retries of transient failures with back-off.

urllib3's own ``Retry`` is not used: it logs whole URLs, excludes POST, and retries rejected certificates.
"""

from __future__ import annotations

import logging
import random
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from lidloop.errors import StoreError

logger = logging.getLogger("lidloop")

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 60.0
_TRANSIENT_STATUS: Final = frozenset({429, 500, 502, 503, 504})
_DESCRIPTIONS: Final = (
    (NameResolutionError, "the host's name is unknown"),
    (NewConnectionError, "connection refused or host unreachable"),
    (ConnectTimeoutError, "no answer to a connection"),
    (ReadTimeoutError, "no answer in time"),
    (ProtocolError, "the connection was cut"),
    (SSLError, "the TLS handshake was cut"),
)
_SLOW_UPLOAD: Final = b"<Code>RequestTimeout</Code>"  # S3 answers 400 if a body arrives too slowly


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Number of attempts and exponential back-off between them, in seconds.

    The wait doubles from ``first`` up to ``longest``. Random jitter shortens each wait by up to half, so that
    many clients of a restarted server do not return at the same moment.
    """

    tries: int = 6
    first: float = 0.5
    longest: float = 10.0

    def waits(self) -> Iterator[float]:
        """Yield the waits between attempts, in seconds: one fewer than ``tries``."""
        for number in range(self.tries - 1):
            longest = min(self.longest, self.first * 2**number)
            yield longest * random.uniform(0.5, 1.0)  # noqa: S311


def wait_before_retry(seconds: float, why: str) -> None:
    """Log the reason of a retry, without names of objects, and sleep."""
    logger.warning("%s; trying again in %.1f s", why, seconds)
    time.sleep(seconds)


class RetryingPool(urllib3.PoolManager):
    """Connection pool that retries requests after transient failures."""

    def __init__(
        self, *, ca_bundle: str = "", retry_policy: RetryPolicy | None = None, connections: int = 32
    ) -> None:
        """Set up TLS; opens no connection.

        Args:
            ca_bundle: file of trusted CA certificates; empty for the public ones.
            retry_policy: attempts and back-off.
            connections: number kept open per server.

        Raises:
            StoreError: for a CA file that is missing or holds no certificate.
        """
        super().__init__(
            maxsize=connections,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            ssl_context=_tls(ca_bundle),
        )
        self.retry_policy = retry_policy or RetryPolicy()

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; see ``urllib3.PoolManager.urlopen``."""
        options["retries"] = False  # urllib3 then raises the original error
        waits = self.retry_policy.waits()
        while True:
            try:
                response = super().urlopen(method, url, redirect=redirect, **options)
            except HTTPError as error:
                seconds = next(waits, None)
                if seconds is None or not is_transient(error):
                    raise
                why = f"{_host(url)}: {describe(error)}"
            else:
                if not _should_retry(response) or (seconds := next(waits, None)) is None:
                    return _with_application_xml(response)
                response.drain_conn()
                seconds = max(seconds, min(_retry_after(response), self.retry_policy.longest))
                why = f"{_host(url)} answered HTTP {response.status}"
            wait_before_retry(seconds, why)


def is_transient(error: Exception) -> bool:
    """True if the failed request may succeed when it is sent again."""
    if isinstance(error, SSLError):
        # A cut handshake is transient; a rejected certificate is not.
        return any(isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError) for cause in error.args)
    return isinstance(error, ProtocolError | ConnectTimeoutError | ReadTimeoutError | NewConnectionError)


def describe(error: Exception) -> str:
    """Return a short description of a network error, without an address."""
    for kind, description in _DESCRIPTIONS:  # subclasses first
        if isinstance(error, kind):
            return description
    return type(error).__name__


def _tls(ca_bundle: str) -> ssl.SSLContext:
    if not ca_bundle:
        import certifi

        return ssl.create_default_context(cafile=certifi.where())
    if not Path(ca_bundle).is_file():
        raise StoreError(
            f"there is no CA file {ca_bundle}; it comes from ca_bundle=, AWS_CA_BUNDLE or SSL_CERT_FILE"
        )
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except OSError as error:  # SSLError is one
        raise StoreError(f"{ca_bundle} holds no CA certificate in PEM form: {error}") from error


def _with_application_xml(response: urllib3.BaseHTTPResponse) -> urllib3.BaseHTTPResponse:
    """Replace the media type ``text/xml`` by its alias ``application/xml``, which the client expects."""
    kind, semicolon, parameters = response.headers.get("content-type", "").partition(";")
    if kind.strip().lower() == "text/xml":  # RFC 7303, section 9.2
        response.headers["content-type"] = f"application/xml{semicolon}{parameters}"
    return response


def _should_retry(response: urllib3.BaseHTTPResponse) -> bool:
    if response.status == 400 and int(response.headers.get("content-length") or 0) < 1 << 16:
        return _SLOW_UPLOAD in response.data
    return response.status in _TRANSIENT_STATUS


def _retry_after(response: urllib3.BaseHTTPResponse) -> float:
    try:
        return float(response.headers.get("retry-after", 0))
    except ValueError:
        return 0.0  # a date: use the back-off


def _host(url: str) -> str:
    return urllib3.util.parse_url(url).netloc or "the server"
