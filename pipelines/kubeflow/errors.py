"""Errors of a Kubeflow Pipelines host, and the translation of the client's errors into them."""

from __future__ import annotations

import json
from typing import Any

import urllib3

from lidloop.errors import LidloopError


class HostError(LidloopError):
    """The host cannot be reached or used, or refused a request."""


class RunUnknown(HostError):
    """The host has no such run."""


class RunExists(HostError):
    """A run of that name exists already; ``id`` is its id."""

    def __init__(self, run: str, id: str) -> None:
        super().__init__(f"a run {run!r} exists already ({id}); give another --run")
        self.id = id


class PipelineUnknown(HostError):
    """The host has no such pipeline."""

    def __init__(self, name: Any, host: str) -> None:
        super().__init__(
            f"{host} has no pipeline {str(name)!r}; upload one with `lidloop upload`, or give a compiled file"
        )


def explain(error: Exception, *, what: str, host: str, unknown: type[HostError] = HostError) -> HostError:
    """Return an error of the client as a HostError that names the cause and what to do.

    Args:
        error: raised by ``kfp_server_api`` or ``urllib3``.
        what: the requested object, for the message.
        host: address of the host.
        unknown: class of the error for status 404.
    """
    if isinstance(error, HostError):
        return error
    status = getattr(error, "status", None)
    if not status:
        return HostError(_unreachable(error, host))
    said = _said(error)
    if status in (301, 302, 303, 307, 308, 401):
        return HostError(
            f"{host} rejects the credentials ({status}): give --token-file, or --cookies-file for a host "
            f"behind a log-in page; an expired one must be renewed{said}"
        )
    if status == 403:
        return HostError(f"{host} does not permit this user to access {what} (403){said}")
    if status == 404:
        return unknown(f"{host} has no {what} (404){said}; is the address that of Kubeflow Pipelines?")
    if status == 409:
        return HostError(f"{host}: {what} exists already (409){said}")
    if status >= 500:
        return HostError(f"{host} failed on a request for {what} ({status}){said}; try again later")
    return HostError(f"{host} refused {what} ({status}){said}")


def _unreachable(error: Exception, host: str) -> str:
    reason = getattr(error, "reason", None) or error
    text = str(reason).splitlines()[-1] if str(reason) else type(reason).__name__
    if isinstance(reason, urllib3.exceptions.SSLError) or "SSL" in text:
        return f"{host}: the TLS certificate is not trusted ({text}); give its CA with --ca-file"
    if isinstance(error, ValueError):
        return f"{host} is not Kubeflow Pipelines: {text[:200]}"
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        text = text.rpartition(": ")[2]
    return f"{host} cannot be reached: {text[:300]}"


def _said(error: Any) -> str:
    """Message of the host, shortened."""
    body = getattr(error, "body", None) or ""
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    try:
        content = json.loads(body)
        text = content.get("message") or content.get("error_message") or content.get("error") or ""
    except (ValueError, AttributeError):
        return ""
    return f": {' '.join(str(text).split())[:400]}" if text else ""
