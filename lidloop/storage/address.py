"""Parse store addresses: a local folder, or a prefix in a bucket of any S3 server.

The full form is ``s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=…``. Parameters that are left out come
from environment variables that AWS's tools, KFP and KServe also use. An address holds no key or password.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from lidloop.errors import StoreError
from lidloop.files import expand_user

AWS: Final = "https://s3.amazonaws.com"
PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "use_path_style": ("LIDLOOP_S3_USE_PATH_STYLE",),
    "ca_bundle": ("AWS_CA_BUNDLE", "SSL_CERT_FILE"),
    "profile": (),
    "role_arn": ("LIDLOOP_S3_ROLE_ARN",),
    "anonymous": ("LIDLOOP_S3_ANONYMOUS",),
}
"""Query parameters of an address, each with the environment variables that it defaults to."""

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_SECRET_NAME: Final = re.compile(r"key|secret|token|password|credential", re.IGNORECASE)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_NAME_BYTES: Final = 255
_TRUE_OR_FALSE: Final = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class S3Address:
    """A prefix in a bucket, with the connection parameters of its server."""

    bucket: str
    prefix: str
    """Without a slash at either end; empty for the whole bucket."""
    endpoint: str
    """``http(s)://HOST[:PORT]``."""
    region: str
    """Empty if not given: then Amazon is asked for it, and other servers get us-east-1."""
    use_path_style: bool | None
    """True for ``HOST/BUCKET/…``, False for ``BUCKET.HOST/…``, None for the default of the server."""
    ca_bundle: str
    """File of trusted CA certificates; empty for the public ones."""
    profile: str
    """Section of the credentials file to take the keys from; empty for the usual search order."""
    role_arn: str
    """Role to assume with these keys; empty for none."""
    anonymous: bool

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"

    @property
    def host(self) -> str:
        """``HOST[:PORT]``."""
        return urlsplit(self.endpoint).netloc

    @property
    def is_amazon(self) -> bool:
        """True if the endpoint belongs to Amazon."""
        return (urlsplit(self.endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


def parse_address(address: str | Path, env: Mapping[str, str] = os.environ) -> S3Address | Path:
    """Parse an address; a local one becomes an absolute path.

    Raises:
        StoreError: for another scheme, an address with a secret in it (which the message does not repeat),
            an unknown parameter, or an invalid value.
    """
    text = str(address)
    scheme = _SCHEME.match(text)
    if isinstance(address, Path) or not scheme:
        if not text:
            raise StoreError("the address is empty; give a folder or s3://BUCKET/PREFIX")
        return Path(os.path.abspath(expand_user(text)))
    if scheme[1].lower() != "s3":
        raise StoreError(f"{scheme[1]}:// is not supported; give a folder or s3://BUCKET/PREFIX")
    place, _, query = text[scheme.end() :].partition("?")
    bucket, _, prefix = place.partition("/")
    if "@" in bucket or ":" in bucket:
        raise StoreError(
            "an address must hold no keys and no port: write s3://BUCKET/PREFIX, give the server as "
            "?endpoint=https://HOST:PORT or AWS_ENDPOINT_URL_S3, and keys in the environment or a file"
        )
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise StoreError(
            f"{bucket!r} is not a valid bucket name: 3 to 63 lower-case letters, digits, dots and hyphens"
        )
    prefix = prefix.strip("/")
    if prefix:
        key_parts(prefix)
    given = _parameters(query, env)
    style = given["use_path_style"]
    return S3Address(
        bucket=bucket,
        prefix=prefix,
        endpoint=_endpoint(given["endpoint"] or AWS),
        region=_region(given["region"]),
        use_path_style=_boolean("use_path_style", style) if style else None,
        ca_bundle=os.path.expanduser(given["ca_bundle"]),
        profile=given["profile"],
        role_arn=given["role_arn"],
        anonymous=_boolean("anonymous", given["anonymous"]) if given["anonymous"] else False,
    )


def key_parts(key: str) -> tuple[str, ...]:
    """Split an object's key into path components, and check that they stay below a folder.

    Raises:
        StoreError: for a key that would leave the folder or is no valid path: ``..``, ``.``, an empty name,
            a leading or trailing slash, a backslash, a control character, a name over 255 bytes.
    """
    parts = tuple(key.split("/"))
    if any(part in ("", ".", "..") for part in parts):
        why = "an empty name, '.' or '..'"
    elif "\\" in key or any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in key):
        why = "a backslash or a control character"
    elif any(len(part.encode()) > _NAME_BYTES for part in parts):
        why = f"a name of more than {_NAME_BYTES} bytes"
    else:
        return parts
    raise StoreError(f"the key {key!r} is not a valid file path: it has {why}; rename or remove the object")


def _parameters(query: str, env: Mapping[str, str]) -> dict[str, str]:
    values = {
        name: next((env[variable] for variable in variables if env.get(variable)), "")
        for name, variables in PARAMETERS.items()
    }
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in PARAMETERS:
            if _SECRET_NAME.search(name):
                raise StoreError(
                    "an address must hold no secrets: keys come from AWS_ACCESS_KEY_ID and "
                    "AWS_SECRET_ACCESS_KEY, or from the file that AWS_SHARED_CREDENTIALS_FILE names"
                )
            raise StoreError(f"{name!r} is not a parameter of an address; known: {', '.join(PARAMETERS)}")
        values[name] = value
    return values


def _endpoint(text: str) -> str:
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        raise StoreError("the endpoint is not a URL; write https://HOST:PORT") from None
    if url.username is not None or url.password is not None:
        raise StoreError("the endpoint holds a user or password; write https://HOST:PORT without them")
    if url.scheme not in ("http", "https") or not url.hostname:
        raise StoreError(f"the endpoint {text!r} is not of the form https://HOST:PORT")
    if url.path.strip("/") or url.query or url.fragment:
        raise StoreError(f"the endpoint {text!r} has more than a host and a port: write https://HOST:PORT")
    return f"{url.scheme}://{url.netloc}"


def _region(text: str) -> str:
    if text and not _REGION.fullmatch(text):
        raise StoreError(f"{text!r} is not a valid region; an example is eu-west-1")
    return text


def _boolean(name: str, text: str) -> bool:
    try:
        return _TRUE_OR_FALSE[text.lower()]
    except KeyError:
        raise StoreError(f"{name} is {text!r}; write true or false") from None
