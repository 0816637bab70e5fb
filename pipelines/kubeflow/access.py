"""Connection to a Kubeflow Pipelines host: address, credentials, trusted CA, retries."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import kfp_server_api as api
import urllib3

from pipelines.kubeflow.errors import HostError

TOKEN: Final = Path("/var/run/secrets/kubeflow/pipelines/token")
"""Service account token for KFP that Kubernetes mounts; ``KF_PIPELINES_SA_TOKEN_PATH`` overrides the path."""


def configure(
    host: str, *, token_file: str | Path | None = None, ca_file: str | Path | None = None
) -> api.Configuration:
    """Return the client's configuration; arguments as of ``KubeflowHost.from_settings``.

    Raises:
        HostError: for an invalid address or an unreadable file.
    """
    configuration = api.Configuration()
    configuration.host = _address(host or os.environ.get("KF_PIPELINES_ENDPOINT", ""))
    configuration.retries = _retries()
    if ca_file:
        configuration.ssl_ca_cert = str(_readable(ca_file, "CA file"))
    token = Path(token_file or os.environ.get("KF_PIPELINES_SA_TOKEN_PATH") or TOKEN)
    if token_file or token.exists():
        secret(token, "token file")
        configuration.api_key_prefix["authorization"] = "Bearer"
        configuration.api_key["authorization"] = ""
        configuration.refresh_api_key_hook = _Token(token)
    return configuration


class Client(api.ApiClient):
    """KFP's client with a check of the content type: KFP's own accepts a log-in page as an empty answer."""

    def request(self, *args: Any, **named: Any) -> Any:
        """Send one request.

        Raises:
            ValueError: if JSON was asked for and the answer is not JSON.
        """
        response = super().request(*args, **named)
        if named.get("_preload_content", True):
            kind = response.getheader("Content-Type", "")
            if "json" not in kind:
                raise ValueError(f"the answer is {kind or 'empty'}, not JSON (a log-in page?)")
        return response


class _Token:
    """Hook that reads the token before every request, because Kubernetes renews it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, configuration: api.Configuration) -> None:
        configuration.api_key["authorization"] = secret(self.path, "token file")


def secret(path: str | Path, what: str) -> str:
    """Return the one line of a file with a secret. No message repeats the secret.

    Raises:
        HostError: if the file is missing, unreadable, or does not hold one line.
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
        raise HostError("no host is given; use --host https://HOST or set KF_PIPELINES_ENDPOINT")
    url = urlsplit(host)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise HostError(f"{host!r} does not have the form https://HOST[:PORT][/PATH]")
    if url.username or url.password:
        raise HostError("the host's address contains a user or password; give a token file or a cookies file")
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"


def _retries() -> urllib3.Retry:
    """Retries of GET requests only, so that no run starts twice; redirects (log-in pages) fail."""
    return urllib3.Retry(
        total=4, connect=2, read=2, redirect=0, raise_on_redirect=False, status=4, other=0,
        backoff_factor=0.3, status_forcelist=(502, 503, 504), allowed_methods={"GET"}, raise_on_status=False,
    )  # fmt: skip


def _readable(path: str | Path, what: str) -> Path:
    if not Path(path).is_file():
        raise HostError(f"there is no {what} at {path}")
    return Path(path)
