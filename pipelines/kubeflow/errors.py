"""What may go wrong with a Kubeflow Pipelines host, in words: out of reach, not let in, not there."""

from __future__ import annotations

import json
from typing import Any

import urllib3

from lidloop.errors import LidloopError


class HostError(LidloopError):
    """A Kubeflow Pipelines host that cannot be reached or used, or that refused."""


class RunUnknown(HostError):
    """A run that the host does not know."""


class RunExists(HostError):
    """A run of that name is there already. ``id`` is its id."""

    def __init__(self, run: str, id: str) -> None:
        super().__init__(f"there is a run {run!r} already, {id}; give another --run")
        self.id = id


class PipelineUnknown(HostError):
    """A pipeline that the host does not have."""

    def __init__(self, name: Any, host: str) -> None:
        super().__init__(
            f"{host} has no pipeline {str(name)!r}; upload one with `lidloop upload`, or give a compiled file"
        )


def explain(error: Exception, *, what: str, host: str, unknown: type[HostError] = HostError) -> HostError:
    """An error of the client as one that a person can act on.

    Args:
        error: what ``kfp_server_api`` or ``urllib3`` raised.
        what: what was asked for.
        host: address of the host.
        unknown: class of the error where the host knows of no such thing.
    """
    if isinstance(error, HostError):
        return error
    status = getattr(error, "status", None)
    if not status:
        return HostError(_unreachable(error, host))
    said = _said(error)
    if status in (301, 302, 303, 307, 308, 401):
        return HostError(
            f"{host} does not know who asks ({status}): give --token-file, or --cookies-file for a host "
            f"behind a log-in page; either may have run out{said}"
        )
    if status == 403:
        return HostError(f"{host} does not let this caller have {what} (403){said}")
    if status == 404:
        return unknown(f"{host} has no {what} (404){said}; is the address that of Kubeflow Pipelines?")
    if status == 409:
        return HostError(f"{host}: {what} is there already (409){said}")
    if status >= 500:
        return HostError(f"{host} failed when asked for {what} ({status}){said}; try again later")
    return HostError(f"{host} refused {what} ({status}){said}")


def _unreachable(error: Exception, host: str) -> str:
    reason = getattr(error, "reason", None) or error
    text = str(reason).splitlines()[-1] if str(reason) else type(reason).__name__
    if isinstance(reason, urllib3.exceptions.SSLError) or "SSL" in text:
        return f"{host}: the TLS certificate is not trusted ({text}); give its CA with --ca-file"
    if isinstance(error, ValueError):
        return f"{host} answers, but not as Kubeflow Pipelines does: {text[:200]}"
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        text = text.rpartition(": ")[2]
    return f"{host} cannot be reached: {text[:300]}"


def _said(error: Any) -> str:
    """The host's own message, shortened."""
    body = getattr(error, "body", None) or ""
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    try:
        content = json.loads(body)
        text = content.get("message") or content.get("error_message") or content.get("error") or ""
    except (ValueError, AttributeError):
        return ""
    return f": {' '.join(str(text).split())[:400]}" if text else ""
