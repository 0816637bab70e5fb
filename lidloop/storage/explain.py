"""Errors of the S3 client as messages with cause and advice, without keys, secrets or tokens."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Final
from xml.etree import ElementTree

from minio import time  # its clock is the one that requests are signed by
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError, SSLError

from lidloop.errors import StoreError
from lidloop.storage.address import S3Address
from lidloop.storage.transport import in_words, is_passing

_WORDS: Final = {
    "InvalidAccessKeyId": "{host} does not know the access key; check AWS_ACCESS_KEY_ID, or which file or "
    "profile the keys come from",
    "SignatureDoesNotMatch": "the secret key is not the one of this access key; check AWS_SECRET_ACCESS_KEY "
    "(and, for temporary keys, AWS_SESSION_TOKEN)",
    "AccessDenied": "{host} denies access to {place}: the key is wrong, or may not do this; ask who runs the "
    "store for list, read and, to push, write permission on this prefix",
    "ExpiredToken": "the temporary keys have ended; get new ones",
    "InvalidToken": "{host} does not accept the session token; get new temporary keys, or unset "
    "AWS_SESSION_TOKEN for lasting ones",
    "InvalidArgument": "{host} finds an argument wrong; Ceph says that of a session token that it cannot "
    "read: get new temporary keys, or unset AWS_SESSION_TOKEN for lasting ones",
    "NoSuchBucket": "there is no bucket {bucket} at {host}; check its name and the endpoint, or have it made",
    "NoSuchKey": "an object under {place} is gone; start again",
    "PreconditionFailed": "an object under {place} was changed while it was read; start again",
    "AuthorizationHeaderMalformed": "{host} is of another region than {region}; set AWS_REGION, or add "
    "?region=… to the address",
    "IllegalLocationConstraintException": "{host} is of another region than {region}; set AWS_REGION",
    "PermanentRedirect": "bucket {bucket} lies elsewhere; set AWS_REGION, or the endpoint of its region",
    "QuotaExceeded": "the quota of bucket {bucket} is used up; make room or have it raised",
    "XMinioStorageFull": "the store at {host} is full; make room there",
    "EntityTooLarge": "{host} takes no file of this size",
    "SlowDown": "{host} asks for fewer requests each time it was tried; try later",
    "ServiceUnavailable": "{host} is not available each time it was tried; try later",
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
"""All that the client raises when a store does not do what it was asked to; ValueError for an answer that is
XML, but another."""


@contextmanager
def told(address: S3Address) -> Iterator[None]:
    """Turn the client's errors into StoreErrors.

    Raises:
        StoreError: saying what is wrong and what to do.
    """
    try:
        yield
    except _FAILURES as error:
        raise StoreError(explain(error, address)) from error


def explain(error: Exception, address: S3Address) -> str:
    """Cause of an error of the client, and advice."""
    if isinstance(error, S3Error):
        return _of_s3(error, address)
    if isinstance(error, SSLError):
        return _of_tls(error, address)
    if isinstance(error, HTTPError) and is_passing(error):
        return (
            f"{address.host}: {in_words(error)}, each time it was tried; is the server up, and is the "
            f"endpoint {address.endpoint} right (AWS_ENDPOINT_URL_S3)?"
        )
    if isinstance(error, ServerError) and error.status_code >= 500:
        return (
            f"{address.host} answers HTTP {error.status_code} each time it is asked; see its log, try later"
        )
    if isinstance(error, InvalidResponseError | ServerError | ElementTree.ParseError | ValueError):
        return (
            f"{address.host} does not answer as an S3 server; is the endpoint {address.endpoint} the one "
            "of the S3 API rather than of a web page, with the right http or https?"
        )
    return f"{address.host}: {in_words(error)}"


def _of_s3(error: S3Error, address: S3Address) -> str:
    code = _ALIASES.get(error.code or "", error.code or "")
    if code == "RequestTimeTooSkewed":
        return _of_clock(error, address)
    words = _WORDS.get(code)
    if words is None:
        return (
            f"{address.host}: {code or 'an error without a code'} (HTTP {error.response.status}) at {address}"
        )
    return words.format(
        host=address.host, place=address, bucket=address.bucket, region=address.region or "the one assumed"
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
                f"the certificate of {address.host} is for another name; use the name that it is for as "
                "endpoint, or have the certificate made anew"
            )
        if "expired" in cause.verify_message:
            return (
                f"the certificate of {address.host} has expired (or this machine's clock is wrong); renew it"
            )
        return (
            f"the certificate of {address.host} is not trusted ({cause.verify_message}); if it comes from "
            "a CA of your own, name its file in AWS_CA_BUNDLE or with ?ca_bundle=FILE"
        )
    if "WRONG_VERSION_NUMBER" in str(error) or "HTTP_REQUEST" in str(error):
        return (
            f"{address.host} does not speak TLS; if it is meant to be without, write http:// in the endpoint"
        )
    return f"no TLS connection to {address.host}: {cause.reason if cause else 'the hand-shake failed'}"
