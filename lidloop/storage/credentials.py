"""Sources of the keys of an S3 store. No message contains a key, secret or token.

The first of these sources that is configured is used:

1. ``anonymous=true``: none.
2. ``profile=NAME``: that section of the credentials file.
3. ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, with ``AWS_SESSION_TOKEN`` if they are temporary.
4. ``AWS_WEB_IDENTITY_TOKEN_FILE`` and ``AWS_ROLE_ARN``: the identity of a pod, exchanged at the STS.
5. ``AWS_CONTAINER_CREDENTIALS_FULL_URI`` or ``…_RELATIVE_URI``: keys from the
   container platform.
6. The credentials file, ``AWS_SHARED_CREDENTIALS_FILE`` or ``~/.aws/credentials``: the section that
   ``AWS_PROFILE`` names, else ``default``.

``role_arn=…`` exchanges these keys for temporary keys of that role. The file and the token are read each time
they are needed, so a mounted secret can be replaced. Temporary keys are renewed before they expire.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import urllib3
from minio.credentials.credentials import Credentials
from minio.credentials.providers import EnvAWSProvider, IamAwsProvider, Provider
from minio.signer import sign_v4_sts
from minio.time import to_amz_date, utcnow
from urllib3.exceptions import HTTPError

from lidloop.errors import StoreError
from lidloop.files import expand_user
from lidloop.storage.address import S3Address
from lidloop.storage.transport import RetryingPool, describe

RENEW_BEFORE: Final = timedelta(seconds=60)
_NONE: Final = (
    "no keys for the store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN if they "
    "are temporary), or name a credentials file in AWS_SHARED_CREDENTIALS_FILE; for a public bucket add "
    "?anonymous=true to the address"
)
_CONTAINER: Final = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")


def find_provider(address: S3Address, pool: RetryingPool) -> Provider | None:
    """Choose the credentials provider for an address; None for an anonymous one.

    Raises:
        StoreError: if there are no keys, or only one half of a key pair.
    """
    if address.anonymous:
        return None
    found = _find(address, pool)
    if not address.role_arn:
        return found
    return StsProvider(
        pool, sts_endpoint(address), role_arn=address.role_arn, region=address.region, source=found
    )


def sts_endpoint(address: S3Address) -> str:
    """URL of the token service (STS). Servers other than Amazon's have it at the endpoint of the store."""
    if os.environ.get("AWS_ENDPOINT_URL_STS"):
        return os.environ["AWS_ENDPOINT_URL_STS"].rstrip("/")
    if not address.is_amazon:
        return address.endpoint
    if not address.region:
        return "https://sts.amazonaws.com"
    return f"https://sts.{address.region}.amazonaws.com{'.cn' * address.region.startswith('cn-')}"


def _find(address: S3Address, pool: RetryingPool) -> Provider:
    env = os.environ
    if address.profile:
        return FileProvider(_file(), address.profile)
    if env.get("AWS_ACCESS_KEY_ID") or env.get("AWS_SECRET_ACCESS_KEY"):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            if not env.get(name):
                raise StoreError(f"{name} is not set, but the other half of the key is; set both or neither")
        return EnvAWSProvider()
    if env.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return StsProvider(
            pool,
            sts_endpoint(address),
            role_arn=env.get("AWS_ROLE_ARN", ""),
            region=address.region,
            token_file=expand_user(env["AWS_WEB_IDENTITY_TOKEN_FILE"]),
        )
    if any(env.get(name) for name in _CONTAINER):
        return ContainerProvider(pool)
    if env.get("AWS_SHARED_CREDENTIALS_FILE") or _file().is_file():
        return FileProvider(_file(), env.get("AWS_PROFILE") or "default")
    raise StoreError(_NONE)


def _file() -> Path:
    return expand_user(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials")


class FileProvider(Provider):
    """Provider that reads a section of a credentials file each time.

    minio's own reader interprets ``%`` in a secret as a reference, and its error then shows the secret.
    """

    def __init__(self, path: Path, profile: str) -> None:
        """Store path and section; the file is read when keys are needed."""
        self._path, self._profile = path, profile

    def retrieve(self) -> Credentials:
        """Read the keys.

        Raises:
            StoreError: if the file, the section or one of its keys is missing.
        """
        parser = configparser.RawConfigParser()
        try:
            with self._path.open(encoding="utf-8") as file:
                parser.read_file(file)
        except OSError as error:
            raise StoreError(f"the credentials file {self._path} cannot be read: {error.strerror}") from None
        except (configparser.Error, UnicodeDecodeError):
            # Their messages quote lines of the file.
            raise StoreError(
                f"{self._path} is not a credentials file: sections with 'name = value'"
            ) from None
        if not parser.has_section(self._profile):
            raise StoreError(f"the credentials file {self._path} has no section [{self._profile}]")
        values = parser[self._profile]
        for name in ("aws_access_key_id", "aws_secret_access_key"):
            if not values.get(name):
                raise StoreError(f"[{self._profile}] in the credentials file {self._path} has no {name}")
        return Credentials(
            values["aws_access_key_id"],
            values["aws_secret_access_key"],
            values.get("aws_session_token") or None,
        )


class ContainerProvider(Provider):
    """Provider that asks the container platform for keys, at an address on the same host."""

    def __init__(self, pool: RetryingPool) -> None:
        """Take the address from the environment."""
        self._inner = IamAwsProvider(http_client=pool)
        self._lock = threading.Lock()

    def retrieve(self) -> Credentials:
        """Return keys, cached until shortly before they expire.

        Raises:
            StoreError: if the platform gives no valid answer.
        """
        with self._lock:
            try:
                return self._inner.retrieve()
            except (HTTPError, OSError, ValueError, KeyError, TypeError) as error:
                raise StoreError(
                    f"the address in {' or '.join(_CONTAINER)} gave no keys ({type(error).__name__}); "
                    "check that this container has an identity, and that its token file exists"
                ) from None


class StsProvider(Provider):
    """Provider of temporary keys of a role from a security token service (STS), renewed before they expire.

    ``source`` gives the keys to exchange (AssumeRole), ``token_file`` an identity token
    (AssumeRoleWithWebIdentity). Parameters are sent in the body. minio's own providers put the token into the
    URL, where logs and errors show it, and cannot parse the time that Ceph answers (nanoseconds).

    Source: https://docs.aws.amazon.com/STS/latest/APIReference/
    """

    def __init__(
        self,
        pool: RetryingPool,
        endpoint: str,
        *,
        role_arn: str,
        region: str = "",
        source: Provider | None = None,
        token_file: Path | None = None,
    ) -> None:
        """Store the parameters; the service is asked when keys are needed."""
        self._pool, self._endpoint, self._role_arn = pool, endpoint, role_arn
        self._region = region or "us-east-1"
        self._source, self._token_file = source, token_file
        self._credentials: Credentials | None = None
        self._lock = threading.Lock()

    def retrieve(self) -> Credentials:
        """Return keys, cached until ``RENEW_BEFORE`` ahead of their expiry.

        Raises:
            StoreError: if the service is unreachable, refuses, or does not answer as an STS.
        """
        with self._lock:
            now = datetime.now(UTC).replace(tzinfo=None)  # as minio keeps them
            known = self._credentials
            if known is None or (known.expiration is not None and known.expiration < now + RENEW_BEFORE):
                self._credentials = known = self._ask()
            return known

    def _ask(self) -> Credentials:
        host = urlsplit(self._endpoint).netloc
        body = urlencode(self._form())
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self._source is not None:
            headers = self._signed(self._source.retrieve(), headers, body)
        try:
            response = self._pool.urlopen("POST", f"{self._endpoint}/", body=body, headers=headers)
        except HTTPError as error:
            raise StoreError(f"no answer from the token service {host}: {describe(error)}") from None
        if response.status != 200:
            raise StoreError(
                f"the token service {host} refused role {self._role_arn or '(none)'}: "
                f"{_error_code(response)}; check that this identity may assume it, "
                "and that its key or token is valid"
            )
        try:
            return _credentials(response.data)
        except (ElementTree.ParseError, ValueError):
            raise StoreError(
                f"{host} does not answer as a token service (STS); see AWS_ENDPOINT_URL_STS"
            ) from None

    def _form(self) -> dict[str, str]:
        form = {"Version": "2011-06-15", "RoleSessionName": "lidloop"}
        if self._role_arn:
            form["RoleArn"] = self._role_arn
        if self._token_file is None:
            return form | {"Action": "AssumeRole"}
        try:
            token = self._token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(
                f"the token file {self._token_file} (AWS_WEB_IDENTITY_TOKEN_FILE) cannot be read: "
                f"{getattr(error, 'strerror', None) or 'not text'}"
            ) from None
        return form | {"Action": "AssumeRoleWithWebIdentity", "WebIdentityToken": token}

    def _signed(self, keys: Credentials, headers: dict[str, str], body: str) -> dict[str, str]:
        url = urlsplit(f"{self._endpoint}/")
        now = utcnow()
        headers = {**headers, "Host": url.netloc, "X-Amz-Date": to_amz_date(now)}
        if keys.session_token:
            headers["X-Amz-Security-Token"] = keys.session_token
        signed = sign_v4_sts(
            method="POST", url=url, region=self._region, headers=dict(headers), credentials=keys,
            content_sha256=hashlib.sha256(body.encode()).hexdigest(), date=now,
        )  # fmt: skip
        return {name: str(value) for name, value in signed.items()}


def _credentials(answer: bytes) -> Credentials:
    found = _fields(answer)
    ends = found.get("Expiration", "")
    return Credentials(
        found.get("AccessKeyId", ""),
        found.get("SecretAccessKey", ""),
        found.get("SessionToken") or None,
        datetime.fromisoformat(ends) if ends else None,
    )


def _error_code(response: urllib3.BaseHTTPResponse) -> str:
    try:
        code = _fields(response.data).get("Code")
    except ElementTree.ParseError:
        code = None
    return f"{code}, HTTP {response.status}" if code else f"HTTP {response.status}"


def _fields(answer: bytes) -> dict[str, str]:
    # The token service is trusted, and expat limits the expansion of entities.
    elements = ElementTree.fromstring(answer).iter()  # noqa: S314
    return {element.tag.rpartition("}")[2]: element.text or "" for element in elements}
