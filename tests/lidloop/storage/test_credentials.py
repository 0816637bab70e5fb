"""Sources of keys, renewal of temporary keys; no message or log shows a secret."""

from __future__ import annotations

import http.server
import json
import logging
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from lidloop.errors import StoreError
from lidloop.storage import S3Address, open_store, parse_address
from tests.servers.identity import Identity
from tests.servers.identity import identity as identity_provider
from tests.servers.processes import free_port
from tests.servers.rgw import Rgw

pytest.importorskip("minio")

from lidloop.storage.credentials import RENEW_BEFORE, find_provider, sts_endpoint
from lidloop.storage.transport import RetryingPool, RetryPolicy

SECRET, TOKEN = "geheim-secret", "geheim-token"
POOL = RetryingPool(retry_policy=RetryPolicy(tries=2, first=0.01))


def keys(address: str = "s3://bkt?endpoint=http://127.0.0.1:9") -> tuple[str, str, str | None] | None:
    parsed = parse_address(address)
    assert isinstance(parsed, S3Address)
    provider = find_provider(parsed, POOL)
    if provider is None:
        return None
    found = provider.retrieve()
    return found.access_key, found.secret_key, found.session_token


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "credentials"
    path.write_text(
        "[default]\naws_access_key_id = d\naws_secret_access_key = d%s\n"
        "[two]\naws_access_key_id = t\naws_secret_access_key = t/+=\naws_session_token = tt\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    return path


class TestSearchOrder:
    """Order of the sources; in each case the later sources are configured too."""

    def test_anonymous_uses_no_keys(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "e")
        assert keys("s3://bkt?anonymous=true") is None

    def test_profile_of_the_address(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "e")
        assert keys("s3://bkt?profile=two") == ("t", "t/+=", "tt")

    def test_environment_variables(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "e")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "es")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/none")
        assert keys() == ("e", "es", None)
        monkeypatch.setenv("AWS_SESSION_TOKEN", "et")
        assert keys() == ("e", "es", "et")

    def test_web_identity_precedes_the_file(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/none")
        with pytest.raises(StoreError, match=r"the token file /none .* cannot be read: No such file"):
            keys()

    def test_credentials_file(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert keys() == ("d", "d%s", None), "no interpolation of percent signs"
        monkeypatch.setenv("AWS_PROFILE", "two")
        assert keys() == ("t", "t/+=", "tt")

    def test_file_in_the_home_folder(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")
        (tmp_path / "home" / ".aws").mkdir(parents=True)
        file.rename(tmp_path / "home" / ".aws" / "credentials")
        assert keys() == ("d", "d%s", None)

    def test_a_replaced_file_is_read_again(self, file: Path) -> None:
        parsed = parse_address("s3://bkt?endpoint=http://127.0.0.1:9")
        assert isinstance(parsed, S3Address)
        provider = find_provider(parsed, POOL)
        assert provider is not None
        assert provider.retrieve().access_key == "d"
        file.write_text("[default]\naws_access_key_id = new\naws_secret_access_key = n\n")
        assert provider.retrieve().access_key == "new"


@pytest.mark.parametrize(
    ("content", "profile", "words"),
    [
        (None, "default", "cannot be read: No such file"),
        ("geheim without a section", "default", "is not a credentials file"),
        (b"\xff\xfe", "default", "is not a credentials file"),
        (
            "[default]\naws_access_key_id = a\naws_secret_access_key = geheim\n",
            "other",
            "has no section [other]",
        ),
        ("[default]\naws_secret_access_key = geheim\n", "default", "has no aws_access_key_id"),
        ("[default]\naws_access_key_id = a\n", "default", "has no aws_secret_access_key"),
    ],
)
def test_invalid_files_are_rejected_without_showing_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes | None, profile: str, words: str
) -> None:
    path = tmp_path / "credentials"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    with pytest.raises(StoreError) as error:
        keys(f"s3://bkt?profile={profile}")
    assert words in str(error.value)
    assert "geheim" not in "".join(traceback.format_exception(error.value))


def test_missing_keys_are_rejected() -> None:
    with pytest.raises(StoreError, match="no keys for the store: set AWS_ACCESS_KEY_ID"):
        open_store("s3://bkt/a")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_key_pair_is_rejected(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "geheim")
    with pytest.raises(StoreError, match="is not set") as error:
        open_store("s3://bkt/a")
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "env", "expected"),
    [
        ("s3://bkt?endpoint=https://s3.hospital.example", "", "https://s3.hospital.example"),
        ("s3://bkt?endpoint=https://s3.hospital.example", "https://sts.x/", "https://sts.x"),
        ("s3://bkt", "", "https://sts.amazonaws.com"),
        ("s3://bkt?region=eu-west-1", "", "https://sts.eu-west-1.amazonaws.com"),
        ("s3://bkt?region=cn-north-1", "", "https://sts.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_sts_endpoint(monkeypatch: pytest.MonkeyPatch, address: str, env: str, expected: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", env)
    parsed = parse_address(address)
    assert isinstance(parsed, S3Address)
    assert sts_endpoint(parsed) == expected


class Service:
    """Mock of a token service or container platform: scripted answers, recorded requests."""

    def __init__(self) -> None:
        self.status = 200
        self.answer = b""
        self.lasts = timedelta(hours=1)
        self.asked: list[tuple[str, dict[str, list[str]], dict[str, str]]] = []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                form = parse_qs(self.rfile.read(length).decode())
                service.asked.append((self.path, form, dict(self.headers)))
                body = service.answer or service.keys()
                self.send_response(service.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, *_: Any) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def keys(self) -> bytes:
        ends = (datetime.now(UTC) + self.lasts).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")  # as Ceph does
        number = len(self.asked)
        return (
            '<R xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>'
            f"<AccessKeyId>k{number}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>"
            f"<SessionToken>{TOKEN}</SessionToken><Expiration>{ends}</Expiration></Credentials>"
            "</AssumeRoleWithWebIdentityResult></R>"
        ).encode()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.server.shutdown()
    service.server.server_close()


@pytest.fixture
def identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: Service) -> Path:
    """Configure the identity of a pod: a token file and a role."""
    path = tmp_path / "token"
    path.write_text("geheim.jwt.1\n")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(path))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam:::role/reader")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", service.url)
    return path


def test_web_identity_is_exchanged_once_and_not_logged(
    service: Service, identity: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    parsed = parse_address("s3://bkt?endpoint=http://127.0.0.1:9")
    assert isinstance(parsed, S3Address)
    provider = find_provider(parsed, POOL)
    assert provider is not None
    first = provider.retrieve()
    assert (first.access_key, first.secret_key, first.session_token) == ("k1", SECRET, TOKEN)
    path, form, _ = service.asked[0]
    assert path == "/", "the token is not in the URL, which is logged"
    assert form == {
        "Action": ["AssumeRoleWithWebIdentity"],
        "RoleArn": ["arn:aws:iam:::role/reader"],
        "RoleSessionName": ["lidloop"],
        "Version": ["2011-06-15"],
        "WebIdentityToken": ["geheim.jwt.1"],
    }
    assert provider.retrieve() is first, "cached until they expire"
    assert len(service.asked) == 1
    assert "geheim" not in caplog.text


def test_temporary_keys_are_renewed_before_they_expire(service: Service, identity: Path) -> None:
    service.lasts = RENEW_BEFORE - timedelta(seconds=1)
    parsed = parse_address("s3://bkt?endpoint=http://127.0.0.1:9")
    assert isinstance(parsed, S3Address)
    provider = find_provider(parsed, POOL)
    assert provider is not None
    assert provider.retrieve().access_key == "k1"
    identity.write_text("geheim.jwt.2")
    service.lasts = timedelta(hours=1)
    assert provider.retrieve().access_key == "k2"
    assert service.asked[1][1]["WebIdentityToken"] == ["geheim.jwt.2"], "the file was read again"
    assert provider.retrieve().access_key == "k2"


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (
            403,
            b"<E><Error><Code>AccessDenied</Code></Error></E>",
            "refused role .*: AccessDenied, HTTP 403",
        ),
        (400, b"not XML", "refused role .*: HTTP 400"),
        (200, b"not XML", "does not answer as a token service"),
        (200, b"<a/>", "does not answer as a token service"),
        (200, b"<a><AccessKeyId>a</AccessKeyId></a>", "does not answer as a token service"),
    ],
)
def test_errors_of_the_token_service_show_no_secret(
    service: Service, identity: Path, caplog: pytest.LogCaptureFixture, status: int, answer: bytes, words: str
) -> None:
    caplog.set_level(logging.DEBUG)
    service.status, service.answer = status, answer
    with pytest.raises(StoreError, match=words) as error:
        keys()
    assert "geheim" not in "".join(traceback.format_exception(error.value)) + caplog.text


def test_a_token_service_that_is_down_is_named(
    identity: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(
        StoreError, match=r"no answer from the token service 127.*: connection refused"
    ) as error:
        keys()
    assert "geheim" not in "".join(traceback.format_exception(error.value)) + caplog.text


def test_keys_of_a_container_platform(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "token").write_text("geheim-of-the-pod")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{service.url}/v1/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = {"AccessKeyId": "c", "SecretAccessKey": "cs", "Token": "ct", "Expiration": ends}
    service.answer = json.dumps(answer).encode()
    assert keys() == ("c", "cs", "ct")
    assert service.asked[0][0] == "/v1/credentials"
    assert service.asked[0][2]["Authorization"] == "geheim-of-the-pod"
    service.status = 403
    with pytest.raises(StoreError, match="gave no keys") as error:
        keys()
    assert "geheim" not in "".join(traceback.format_exception(error.value)) + caplog.text


def policy(action: str, **more: Any) -> str:
    statement = {"Effect": "Allow", "Action": action, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def make_role(rgw: Rgw, name: str, trust: str) -> str:
    """Create a role with read permission only; return its ARN."""
    made = rgw.admin("role", "create", f"--role-name={name}", "--path=/", f"--assume-role-policy-doc={trust}")
    for number, action in enumerate(("s3:ListBucket", "s3:GetObject")):
        document = policy(action, Resource="arn:aws:s3:::*")
        named = (f"--role-name={name}", f"--policy-name=p{number}", f"--policy-doc={document}")
        rgw.admin("role-policy", "put", *named, json_answer=False)
    return str(made["Arn"])


@pytest.fixture(scope="session")
def role(rgw: Rgw) -> str:
    """ARN of a role that the test's user may assume."""
    user = {"AWS": ["arn:aws:iam:::user/test"]}
    return make_role(rgw, "reader", policy("sts:AssumeRole", Principal=user))


@pytest.fixture(scope="session")
def pods(rgw: Rgw) -> Iterator[tuple[Identity, str]]:
    """Identity provider that the server trusts, and the ARN of the role of its pods."""
    with identity_provider() as provider:
        host = provider.issuer.removeprefix("http://")
        rgw.admin("caps", "add", "--uid=test", "--caps=oidc-provider=*")
        rgw.iam(
            {
                "Action": "CreateOpenIDConnectProvider",
                "Version": "2010-05-08",
                "Url": provider.issuer,
                "ClientIDList.member.1": "lidloop",
                "ThumbprintList.member.1": provider.thumbprint,
            }
        )
        federated = {"Federated": [f"arn:aws:iam:::oidc-provider/{host}"]}
        condition = {"StringEquals": {f"{host}:app_id": "lidloop"}}
        trust = policy("sts:AssumeRoleWithWebIdentity", Principal=federated, Condition=condition)
        yield provider, make_role(rgw, "pod", trust)


@pytest.mark.ceph
class TestTemporaryKeysFromARealServer:
    def test_assume_role(self, bucket: Any, role: str, tmp_path: Path) -> None:
        bucket.put("p/a", b"x")
        store = bucket.store("p", endpoint=bucket.server.sts_endpoint, role_arn=role)
        assert [item.key for item in store.items()] == ["a"]
        assert store.read("a", limit=9) == b"x"
        (tmp_path / "f").write_bytes(b"")
        with pytest.raises(StoreError, match="denies access"):  # the role may only read
            store.put(
                tmp_path / "f", "b", sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            )

    def test_keys_in_the_environment(self, bucket: Any, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
        bucket.put("p/a", b"x")
        store = bucket.store("p", endpoint=bucket.server.sts_endpoint, role_arn=role)
        found = store._client._provider.retrieve()
        assert found.expiration is not None
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", found.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", found.secret_key)
        monkeypatch.setenv("AWS_SESSION_TOKEN", found.session_token)
        direct = bucket.store("p", endpoint=bucket.server.sts_endpoint)
        assert [item.key for item in direct.items()] == ["a"]
        monkeypatch.setenv("AWS_SESSION_TOKEN", "x" + found.session_token)
        with pytest.raises(StoreError, match="unset AWS_SESSION_TOKEN"):
            list(direct.items())

    def test_a_role_that_may_not_be_assumed_is_named(
        self, bucket: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parameters = {"endpoint": bucket.server.sts_endpoint, "role_arn": "arn:aws:iam:::role/none"}
        with pytest.raises(StoreError, match="refused role arn:aws:iam:::role/none"):
            list(bucket.store(**parameters).items())

    def test_web_identity_of_a_pod(
        self, bucket: Any, pods: tuple[Identity, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        provider, pod = pods
        bucket.put("p/a", b"x")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        token = tmp_path / "token"
        token.write_text(provider.token())
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
        monkeypatch.setenv("AWS_ROLE_ARN", pod)
        parameters = {"endpoint": bucket.server.sts_endpoint}
        assert [item.key for item in bucket.store("p", **parameters).items()] == ["a"]
        for wrong in (provider.token(audience="other"), provider.token(seconds=-60), "no.such.token"):
            token.write_text(wrong)
            with pytest.raises(StoreError, match="refused role arn:aws:iam:::role/pod") as error:
                list(bucket.store("p", **parameters).items())
            assert wrong not in str(error.value)
