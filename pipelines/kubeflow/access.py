"""How a Kubeflow Pipelines host is reached: its address, who asks, which CA is trusted, what is retried."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import kfp_server_api as api
import urllib3

from pipelines.kubeflow.errors import HostError

TOKEN: Final = Path("/var/run/secrets/kubeflow/pipelines/token")
"""A service account's token for KFP, as Kubernetes mounts it; ``KF_PIPELINES_SA_TOKEN_PATH`` overrides."""


def configure(
    host: str, *, token_file: str | Path | None = None, ca_file: str | Path | None = None
) -> api.Configuration:
    """The client's configuration, as ``KubeflowHost.from_settings`` describes it.

    Raises:
        HostError: for an address or file that cannot be used.
    """
    configuration = api.Configuration()
    configuration.host = _address(host or os.environ.get("KF_PIPELINES_ENDPOINT", ""))
    configuration.retries = _retries()
    if ca_file:
        configuration.ssl_ca_cert = str(_readable(ca_file, "CA file"))
    token = Path(token_file or os.environ.get("KF_PIPELINES_SA_TOKEN_PATH", TOKEN))
    if token_file or token.exists():
        secret(token, "token file")
        configuration.api_key_prefix["authorization"] = "Bearer"
        configuration.api_key["authorization"] = ""
        configuration.refresh_api_key_hook = _Token(token)
    return configuration


class Client(api.ApiClient):
    """KFP's client, which would take a log-in page for an answer without content."""

    def request(self, *args: Any, **named: Any) -> Any:
        """Send one request.

        Raises:
            ValueError: where JSON is asked for and something else comes.
        """
        response = super().request(*args, **named)
        if named.get("_preload_content", True):
            kind = response.getheader("Content-Type", "")
            if "json" not in kind:
                raise ValueError(f"it sends {kind or 'nothing'}, not JSON; is it a log-in page?")
        return response


class _Token:
    """Reads a token for every request: Kubernetes renews it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, configuration: api.Configuration) -> None:
        configuration.api_key["authorization"] = secret(self.path, "token file")


def secret(path: str | Path, what: str) -> str:
    """The one line of a file, which no message repeats.

    Raises:
        HostError: where it is missing, cannot be read, or holds something else.
    """
    try:
        text = _readable(path, what).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HostError(f"the {what} {path} cannot be read ({type(error).__name__})") from None
    if not text or "\n" in text:
        raise HostError(f"the {what} {path} does not hold one line of text")
    return text


def _address(host: str) -> str:
    if not host:
        raise HostError("no host is given; say --host https://HOST or set KF_PIPELINES_ENDPOINT")
    url = urlsplit(host)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise HostError(f"{host!r} is not of the form https://HOST[:PORT][/PATH]")
    if url.username or url.password:
        raise HostError("the host's address holds a user or password; give a token file or a cookies file")
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"


def _retries() -> urllib3.Retry:
    """What may be asked twice is; no run is started twice, and no log-in page followed."""
    return urllib3.Retry(
        total=4, connect=2, read=2, redirect=0, raise_on_redirect=False, status=4, other=0,
        backoff_factor=0.3, status_forcelist=(502, 503, 504), allowed_methods={"GET"}, raise_on_status=False,
    )  # fmt: skip


def _readable(path: str | Path, what: str) -> Path:
    if not Path(path).is_file():
        raise HostError(f"there is no {what} at {path}")
    return Path(path)
