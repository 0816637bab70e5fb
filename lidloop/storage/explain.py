"""Error messages for S3 failures: cause and remedy, without any key, secret or token."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Final
from xml.etree import ElementTree

from minio import time  # requests are signed with its clock
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError, SSLError

from lidloop.errors import StoreError
from lidloop.storage.address import S3Address
from lidloop.storage.transport import describe, is_transient

_MESSAGES: Final = {
    "InvalidAccessKeyId": "{host} does not know the access key; check AWS_ACCESS_KEY_ID, or which file or "
    "profile the keys come from",
    "SignatureDoesNotMatch": "the secret key is not the one of this access key; check AWS_SECRET_ACCESS_KEY "
    "(and, for temporary keys, AWS_SESSION_TOKEN)",
    "AccessDenied": "{host} denies access to {place}: the key is wrong or lacks permission; ask the "
    "administrator of the store for list, read and (to push) write permission on this prefix",
    "ExpiredToken": "the temporary keys have expired; get new ones",
    "InvalidToken": "{host} does not accept the session token; get new temporary keys, or unset "
    "AWS_SESSION_TOKEN if the keys are permanent",
    "InvalidArgument": "{host} rejects an argument; Ceph answers this for an invalid session token: get new "
    "temporary keys, or unset AWS_SESSION_TOKEN if the keys are permanent",
    "NoSuchBucket": "there is no bucket {bucket} at {host}; check its name and the endpoint, or create it",
    "NoSuchKey": "an object under {place} was deleted; start again",
    "PreconditionFailed": "an object under {place} was changed while it was read; start again",
    "AuthorizationHeaderMalformed": "{host} is of another region than {region}; set AWS_REGION, or add "
    "?region=… to the address",
    "IllegalLocationConstraintException": "{host} is of another region than {region}; set AWS_REGION",
    "PermanentRedirect": "bucket {bucket} is in another region; set AWS_REGION or the region's endpoint",
    "QuotaExceeded": "the quota of bucket {bucket} is used up; delete objects or raise the quota",
    "XMinioStorageFull": "the store at {host} is full; free space there",
    "EntityTooLarge": "{host} does not accept a file of this size",
    "SlowDown": "{host} asked for fewer requests on every attempt; try later",
    "ServiceUnavailable": "{host} was not available on any attempt; try later",
}
_ALIASES: Final = {
    "TokenRefreshRequired": "ExpiredToken",
    "RequestExpired": "ExpiredToken",
    "TemporaryRedirect": "PermanentRedirect",
    "InvalidSecurity": "AccessDenied",
    "AllAccessDisabled": "AccessDenied",
    "AccountProblem": "AccessDenied",
}
_FAILURES: Final = (MinioException, HTTPError, ElementTree.ParseError, ValueError)
"""Errors that the client raises for a failed request; ValueError for an answer of unexpected XML."""


@contextmanager
def store_errors(address: S3Address) -> Iterator[None]:
    """Convert errors of the client into ``StoreError``.

    Raises:
        StoreError: with cause and remedy.
    """
    try:
        yield
    except _FAILURES as error:
        raise StoreError(explain(error, address)) from error


def explain(error: Exception, address: S3Address) -> str:
    """Return the message for an error of the client: cause and remedy."""
    if isinstance(error, S3Error):
        return _of_s3(error, address)
    if isinstance(error, SSLError):
        return _of_tls(error, address)
    if isinstance(error, HTTPError) and is_transient(error):
        return (
            f"{address.host}: {describe(error)}, on every attempt; check that the server is up and that the "
            f"endpoint {address.endpoint} is right (AWS_ENDPOINT_URL_S3)"
        )
    if isinstance(error, ServerError) and error.status_code >= 500:
        return f"{address.host} answers HTTP {error.status_code} on every attempt; see its log, try later"
    if isinstance(error, InvalidResponseError | ServerError | ElementTree.ParseError | ValueError):
        return (
            f"{address.host} does not answer as an S3 server; check that the endpoint {address.endpoint} is "
            "the S3 API and not a web page, with the right http or https"
        )
    return f"{address.host}: {describe(error)}"


def _of_s3(error: S3Error, address: S3Address) -> str:
    code = _ALIASES.get(error.code or "", error.code or "")
    if code == "RequestTimeTooSkewed":
        return _of_clock(error, address)
    message = _MESSAGES.get(code)
    if message is None:
        return (
            f"{address.host}: {code or 'an error without a code'} (HTTP {error.response.status}) at {address}"
        )
    return message.format(
        host=address.host, place=address, bucket=address.bucket, region=address.region or "the default region"
    )


def _of_clock(error: S3Error, address: S3Address) -> str:
    try:
        theirs = parsedate_to_datetime(error.response.headers.get("date", ""))
        minutes = (time.utcnow() - theirs).total_seconds() / 60
        by = f"by {abs(minutes):.0f} min ({'fast' if minutes > 0 else 'slow'})"
    except (TypeError, ValueError):
        by = "by more than 15 min"
    return f"this machine's clock differs from that of {address.host} {by}; set it (NTP), then try again"


def _of_tls(error: SSLError, address: S3Address) -> str:
    cause = next((arg for arg in error.args if isinstance(arg, ssl.SSLError)), None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        if "ostname" in cause.verify_message or "IP address mismatch" in cause.verify_message:
            return (
                f"the certificate of {address.host} is for another name; use that name as "
                "endpoint, or get a new certificate"
            )
        if "expired" in cause.verify_message:
            return (
                f"the certificate of {address.host} has expired (or this machine's clock is wrong); renew it"
            )
        return (
            f"the certificate of {address.host} is not trusted ({cause.verify_message}); if it comes from "
            "a private CA, name the CA's file in AWS_CA_BUNDLE or with ?ca_bundle=FILE"
        )
    if "WRONG_VERSION_NUMBER" in str(error) or "HTTP_REQUEST" in str(error):
        return f"{address.host} does not speak TLS; if that is intended, write http:// in the endpoint"
    return f"no TLS connection to {address.host}: {cause.reason if cause else 'the TLS handshake failed'}"
