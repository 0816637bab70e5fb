"""Authentication by API key or JSON Web Token; with neither, local callers only."""

from __future__ import annotations

import logging
import threading
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import Request

from lidloop.web.api_keys import PREFIX, SCREEN, AccessError, KeyFile, stamp
from lidloop.web.peers import is_loopback
from lidloop.web.problems import Problem
from serving.settings import Settings

log: Final = logging.getLogger("lidloop.serving")

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
)  # fmt: skip
"""Accepted signature algorithms: public-key ones, so that who can verify a token cannot forge one."""

_MAX_TOKEN: Final = 8192
_JWKS_SECONDS: Final = 300.0
_JWKS_RETRY: Final = 30.0
_JWKS_BYTES: Final = 1_000_000
_LEEWAY: Final = 30


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller.

    Attributes:
        kind: ``key``, ``jwt`` or ``local``.
        name: id of the key, or subject of the token; empty for ``local``.
        issuer: of the token, else empty.
        scopes: scopes of the caller.
    """

    kind: str
    name: str
    issuer: str
    scopes: frozenset[str]


LOCAL: Final = Caller("local", "", "", frozenset({SCREEN}))


class Access:
    """Authentication of one server."""

    def __init__(self, settings: Settings) -> None:
        self._open = not settings.protected
        self._keys = KeyFile(Path(settings.keys)) if settings.keys else None
        self._tokens = Tokens(settings) if settings.jwks else None

    @property
    def open(self) -> bool:
        """True without access control; then only this machine is answered."""
        return self._open

    @property
    def may_block(self) -> bool:
        """True if ``check`` may fetch a key set over the network."""
        return self._tokens is not None

    def check(self, request: Request, scope: str) -> Caller:
        """Return the caller, if it has the scope. May block on the network: call it in a thread if
        ``may_block``.

        Raises:
            Problem: ``credentials``, ``forbidden``, or ``not-ready`` if a key set cannot be fetched.
        """
        if self._open:
            return LOCAL
        token = _token(request)
        if token is None:
            raise _unauthorized("this server needs an API key or a token")
        caller = self._identify(token)
        if scope not in caller.scopes:
            raise Problem(
                "forbidden",
                f"the credentials do not have the scope {scope!r}",
                headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
            )
        return caller

    def _identify(self, token: str) -> Caller:
        caller = None
        if token.startswith(PREFIX):
            try:
                key = self._keys.find(token) if self._keys else None
            except AccessError as error:
                log.error("%s", error)
                raise Problem("not-ready", "the file of API keys cannot be read now") from None
            if key is not None:
                caller = Caller("key", key.id, "", key.scopes)
        else:
            caller = self._tokens.verify(token) if self._tokens else None
        if caller is None:
            raise _unauthorized("the API key or token is not valid", error="invalid_token")
        return caller


def _token(request: Request) -> str | None:
    """Return the credentials of a request: ``Authorization: Bearer`` or ``X-API-Key``."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return request.headers.get("x-api-key") or None


def _unauthorized(detail: str, error: str = "") -> Problem:
    challenge = 'Bearer realm="lidloop"' + (f', error="{error}"' if error else "")
    return Problem("credentials", detail, headers={"WWW-Authenticate": challenge})


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirects: they could lead to another host, or from https to http."""

    def redirect_request(self, *_: Any) -> None:
        return None


_DIRECT: Final = urllib.request.build_opener(_NoRedirect)


class Tokens:
    """Verification of JSON Web Tokens of one issuer for one audience (RFC 7519, RFC 8725)."""

    def __init__(self, settings: Settings) -> None:
        self._issuer, self._audience, self._source = settings.jwt_issuer, settings.jwt_audience, settings.jwks
        url = urlsplit(self._source)
        self._remote = url.scheme in ("http", "https")
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            raise AccessError(f"a key set must come over https or from a file, not from {self._source}")
        import jwt  # noqa: F401 - here, in the main thread; ``verify`` runs in others

        self._lock = threading.Lock()
        self._set: Any = None
        self._read_at = 0.0
        self._tried_at: float | None = None
        self._stamp: tuple[int, int, int] | None = None
        if not self._remote:
            self._refresh()

    def verify(self, token: str) -> Caller | None:
        """Return the caller of a token; None if it is not valid.

        Raises:
            Problem: ``not-ready`` if the key set cannot be fetched.
        """
        import jwt

        if len(token) > _MAX_TOKEN:
            return None
        try:
            header = jwt.get_unverified_header(token)
            key = self._key(header.get("kid"))
            if key is None or key.algorithm_name not in ALGORITHMS:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError:
            return None
        return Caller("jwt", str(claims["sub"]), self._issuer, _scopes(claims))

    def _key(self, kid: Any) -> Any:
        """Return the key of this id.

        An unknown id fetches the key set again, at a limited rate: anybody can send such tokens.
        """
        with self._lock:
            if self._remote:
                old = self._set is None or time.monotonic() - self._read_at > _JWKS_SECONDS
                if old or self._find(kid) is None:
                    self._try()
            elif stamp(Path(self._source)) != self._stamp:
                self._reread()
            return self._find(kid)

    def _reread(self) -> None:
        """Read a changed file; keys that were removed are rejected from now on."""
        try:
            self._refresh()
        except AccessError as error:
            self._set = None  # the valid keys are unknown
            log.error("%s", error)

    def _find(self, kid: Any) -> Any:
        if self._set is None:
            raise Problem("not-ready", "the key set for tokens cannot be fetched")
        keys = [k for k in self._set.keys if k.public_key_use in (None, "sig") and k.key_type != "oct"]
        if kid is None:
            return keys[0] if len(keys) == 1 else None
        return next((key for key in keys if key.key_id == kid), None)

    def _try(self) -> None:
        now = time.monotonic()
        if self._tried_at is not None and now - self._tried_at < _JWKS_RETRY:
            return
        self._tried_at = now
        try:
            self._refresh()
        except AccessError as error:
            # The old keys stay in use; without any, _find raises.
            log.error("%s", error)

    def _refresh(self) -> None:
        import jwt

        try:
            if self._remote:
                with _DIRECT.open(self._source, timeout=5) as answer:
                    text = answer.read(_JWKS_BYTES)
            else:
                self._stamp = stamp(Path(self._source))
                text = Path(self._source).read_bytes()
            self._set = jwt.PyJWKSet.from_json(text.decode())
        except (OSError, ValueError, jwt.PyJWTError) as error:
            raise AccessError(f"the key set {self._source} cannot be read: {error}") from None
        self._read_at = time.monotonic()


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the scopes of a token: ``scope``, words in a string (RFC 8693), or ``scp``, often a list."""
    value = claims.get("scope") or claims.get("scp")
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(s for s in value if isinstance(s, str)) if isinstance(value, list) else frozenset()
