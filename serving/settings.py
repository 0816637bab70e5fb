"""Settings of a server, from the environment or the command line: model, address, limits, access.

Every setting is the environment variable ``LIDLOOP_`` and its name in capitals: ``LIDLOOP_QUEUE=4``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from lidloop.errors import LidloopError
from lidloop.screening.screen import CONF
from lidloop.screening.thresholds import THRESHOLDS, Thresholds
from lidloop.web.peers import TrustedProxies

PREFIX: Final = "LIDLOOP_"
MOUNTED: Final = Path("/mnt/models")
"""Folder into which KServe's storage initialiser downloads a model."""
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


_BOOLEANS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class SettingError(LidloopError):
    """An invalid setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Thresholds):
    """Settings of one server; the thresholds of the flag are those of ``Thresholds``.

    Attributes:
        model: a bundle's folder, ``champion``, a version's number, or ``starter``; empty: ``/mnt/models``
            where it holds a model, else ``champion``, or ``starter`` where there is no registry either.
        registry: registry that ``champion`` and versions come from; empty: ``runs/registry``.
        model_name: name to serve it under, as KServe's InferenceService has it; empty: the bundle's own.
        model_version: version to report for a model from a folder, which does not say it itself.
        watch: seconds between looks for a new champion, 0 for none.
        backend, device: as ``lidloop.detection.detector.load_detector`` takes them. threads: of the
        network, 0: all
            cores.
        host, port: where to listen.
        metrics_host, metrics_port: where metrics are to be had, and nothing else is; without a host: the same
            one; without a port: beside everything else, with access control for the scope ``metrics`` only.
        body_bytes: limit of a picture in bytes as sent. A phone's JPEG of 48 to 50 megapixels has 8 to 20 MB,
            one of 61 megapixels from a system camera 20 to 25 MB in fine quality.
        pixels: limit of a picture in pixels as decoded. reduced_pixels: limit of a JPEG, which above
            ``pixels`` is decoded at a reduced scale; at most ``pixels``: none is.
        secondary_capture: accept DICOM files of the class Secondary Capture, and JPEG Lossless (.70), as
            ``img2dcm`` and many archives make them of photographs.
        body_seconds: time a body may take to arrive. work_seconds: time an answer may take from there.
        workers: processes that answer. What follows is for each of them.
        concurrency: requests worked on at a time, 0: as many as cores, and at least 2. readers: bodies being
            received at a time, each of up to ``body_bytes``.
        queue: requests that may wait in a burst. steady: requests inside while overloaded, 0: one more than
            half the cores, which is what keeps them busy.
        grace: seconds that a stop waits for what is being worked on.
        conf: smallest score of a face.
        keys: file of hashed API keys (``lidloop serve-key`` writes it).
        jwt_issuer, jwt_audience, jwks: who issues tokens, for whom, and a file or https URL of its keys.
        trusted_proxies: addresses and networks of reverse proxies, separated by commas, that may say which
            address they forward for. proxy_header: where: X-Forwarded-For, Forwarded or X-Real-IP.
        audit: file that audit lines are appended to; ``-``: standard output.
        audit_failure: ``closed``: no answer about a picture where its line cannot be written; ``open``: the
            answer all the same; empty: closed where there is access control.
        window: faces in the sliding window that drift is computed over.
    """

    model: str = ""
    registry: str = ""
    model_name: str = ""
    model_version: str = ""
    watch: float = 0.0
    backend: str = "onnxruntime"
    device: str = "cpu"
    threads: int = 0
    host: str = "127.0.0.1"
    port: int = 8000
    metrics_host: str = ""
    metrics_port: int = 0
    body_bytes: int = 25_000_000
    pixels: int = 25_000_000
    reduced_pixels: int = 65_000_000
    secondary_capture: bool = False
    body_seconds: float = 30.0
    work_seconds: float = 30.0
    workers: int = 1
    concurrency: int = 0
    readers: int = 20
    queue: int = 8
    steady: int = 0
    grace: float = 20.0
    conf: float = CONF
    keys: str = ""
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwks: str = ""
    trusted_proxies: str = ""
    proxy_header: str = "X-Forwarded-For"
    audit: str = "-"
    audit_failure: str = ""
    window: int = 1000

    def __post_init__(self) -> None:
        positive = (
            "workers",
            "body_bytes",
            "pixels",
            "reduced_pixels",
            "body_seconds",
            "work_seconds",
            "readers",
            "queue",
            "grace",
            "window",
        )
        for name in positive:
            # Written so that NaN fails, too.
            if not 0 < getattr(self, name) < math.inf:
                raise SettingError(f"{name} must be more than 0 and finite, got {getattr(self, name)}")
        for name in ("watch", "threads", "concurrency", "steady"):
            if not 0 <= getattr(self, name) < math.inf:
                raise SettingError(f"{name} must be 0 or more and finite, got {getattr(self, name)}")
        try:
            _ = self.thresholds
        except LidloopError as error:
            raise SettingError(str(error)) from None
        for name in ("port", "metrics_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise SettingError(f"{name} must be 0 to 65535, got {getattr(self, name)}")
        if self.metrics_port and self.metrics_port == self.port:
            raise SettingError(f"metrics_port must be another than port, which is {self.port} too")
        if not 0 <= self.conf <= 1:
            raise SettingError(f"conf must be 0 to 1, got {self.conf}")
        if self.backend not in ("onnxruntime", "openvino"):
            raise SettingError(f"backend must be onnxruntime or openvino, got {self.backend!r}")
        if self.audit_failure not in ("", "closed", "open"):
            raise SettingError(f"audit_failure must be closed or open, got {self.audit_failure!r}")
        try:
            TrustedProxies.parse(self.trusted_proxies, self.proxy_header)
        except ValueError as error:
            raise SettingError(f"trusted_proxies or proxy_header: {error}") from None
        if len({bool(self.jwt_issuer), bool(self.jwt_audience), bool(self.jwks)}) != 1:
            raise SettingError("JWTs need all of jwt_issuer, jwt_audience and jwks, or none")

    @classmethod
    def read(cls, environment: Mapping[str, str], **given: Any) -> Settings:
        """Read the settings of an environment; ``given`` values that are not None replace them.

        Raises:
            SettingError: for a value that is not what its setting takes; names the variable.
        """
        values: dict[str, Any] = {}
        for field in fields(cls):
            name = PREFIX + field.name.upper()
            if given.get(field.name) is not None:
                values[field.name] = given[field.name]
            elif environment.get(name):
                values[field.name] = _convert(environment[name], type(field.default), name)
        return cls(**values)

    def environment(self) -> dict[str, str]:
        """Return the settings as environment variables, for worker processes."""
        return {PREFIX + field.name.upper(): str(getattr(self, field.name)) for field in fields(self)}

    @property
    def protected(self) -> bool:
        """True if callers need credentials."""
        return bool(self.keys or self.jwks)

    @property
    def proxies(self) -> TrustedProxies:
        """Reverse proxies that may name the address of the caller."""
        return TrustedProxies.parse(self.trusted_proxies, self.proxy_header)

    @property
    def audit_closed(self) -> bool:
        """True if an answer without an audit line is replaced by an error."""
        return self.audit_failure == "closed" or (not self.audit_failure and self.protected)

    @property
    def thresholds(self) -> Thresholds:
        """Thresholds of the screening flag."""
        return Thresholds(**{name: getattr(self, name) for name in THRESHOLDS})


def _convert(text: str, kind: type, name: str) -> Any:
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise SettingError(f"{name}={text!r} is neither true nor false")
        return _BOOLEANS[text.lower()]
    try:
        return kind(text)
    except ValueError:
        raise SettingError(
            f"{name}={text!r} is not {'a whole number' if kind is int else 'a number'}"
        ) from None
