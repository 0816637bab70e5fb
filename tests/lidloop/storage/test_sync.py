"""Pull: downloads missing and changed files atomically, and keeps local changes."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.errors import StoreError
from lidloop.storage import LocalStore, open_store, pull
from lidloop.storage.store import Item
from tests.lidloop.conftest import kill_once_there
from tests.properties import examples
from tests.servers.proxies import Proxy

minio = pytest.importorskip("minio")

from minio.credentials import Credentials  # noqa: E402
from minio.signer import sign_v4_s3  # noqa: E402

EVIL = hashlib.sha256(b"evil").hexdigest()
Tree = Callable[[Path], dict[str, bytes]]
FILES = {"afw/1.jpg": b"\xff\xd8one", "afw/1.pts": b"1 2", "helen/2.jpg": b"\xff\xd8two", "readme": b""}
MB = 1 << 20


class Source(NamedTuple):
    """A store to pull from, with functions that change its objects."""

    address: str
    put: Callable[[str, bytes], None]
    remove: Callable[[str], None]


@pytest.fixture(params=["folder", "s3"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    if request.param == "s3":
        bucket = request.getfixturevalue("bucket")
        source = Source(
            bucket.address("raw/300w"),
            lambda key, content: bucket.put(f"raw/300w/{key}", content),
            lambda key: bucket.client.remove_object(bucket.name, f"raw/300w/{key}"),
        )
        bucket.put("raw/300w-other/not-this", b"x")
    else:
        root = tmp_path / "source"

        def put(key: str, content: bytes) -> None:
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_bytes(content)

        source = Source(str(root), put, lambda key: (root / key).unlink())
    for key, content in FILES.items():
        source.put(key, content)
    return source


def test_a_second_pull_downloads_nothing(source: Source, tmp_path: Path, tree: Tree) -> None:
    folder = tmp_path / "data"
    seen: list[tuple[int, int]] = []
    first = pull(open_store(source.address), folder, progress=lambda done, total: seen.append((done, total)))
    total = sum(map(len, FILES.values()))
    assert tree(folder) == FILES
    assert (first.files, first.downloaded, first.unchanged, first.bytes) == (4, 4, 0, total)
    assert seen[-1] == (total, total)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    again = pull(open_store(source.address), folder)
    assert (again.downloaded, again.downloaded_bytes, again.unchanged) == (0, 0, 4)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == times


def test_changes_in_the_store_are_downloaded_and_pruned_on_request(
    source: Source, tmp_path: Path, tree: Tree
) -> None:
    folder = tmp_path / "data"
    pull(open_store(source.address), folder)
    time.sleep(0.01)  # the tag of a local file is its size and time
    source.put("afw/1.pts", b"3 4")
    source.put("new", b"new")
    source.remove("helen/2.jpg")
    pulled = pull(open_store(source.address), folder)
    assert (pulled.downloaded, pulled.unchanged) == (2, 2)
    assert pulled.left_over == ("helen/2.jpg",)
    assert tree(folder) == FILES | {"afw/1.pts": b"3 4", "new": b"new"}
    pruned = pull(open_store(source.address), folder, prune=True)
    assert (pruned.removed, pruned.left_over, pruned.downloaded) == (("helen/2.jpg",), (), 0)
    assert not (folder / "helen").exists()
    assert pull(open_store(source.address), folder, prune=True).removed == ()


def test_local_changes_are_kept_without_overwrite(source: Source, tmp_path: Path, tree: Tree) -> None:
    folder = tmp_path / "data"
    pull(open_store(source.address), folder)
    (folder / "afw/1.pts").write_bytes(b"5 6")  # same size as before
    (folder / "mine").write_bytes(b"not of the store")
    source.put("mine", b"the store's own")
    source.remove("helen/2.jpg")
    (folder / "helen/2.jpg").write_bytes(b"mine too")
    before = tree(folder)
    with pytest.raises(StoreError, match=r"afw/1.pts, mine in .*--overwrite"):
        pull(open_store(source.address), folder, prune=True)
    assert tree(folder) == before
    pulled = pull(open_store(source.address), folder, overwrite=True, prune=True)
    assert pulled.downloaded == 2
    assert pulled.removed == (), "a file changed locally is not removed either"
    assert tree(folder) == FILES | {"mine": b"the store's own", "helen/2.jpg": b"mine too"}


def test_files_copied_by_other_means_are_recognised(source: Source, tmp_path: Path, tree: Tree) -> None:
    """They are recognised by digest, and only the rest is downloaded."""
    folder = tmp_path / "data"
    (folder / "afw").mkdir(parents=True)
    (folder / "afw/1.jpg").write_bytes(FILES["afw/1.jpg"])
    pulled = pull(open_store(source.address), folder)
    assert (pulled.downloaded, pulled.unchanged) == (3, 1)
    assert tree(folder) == FILES


def test_a_multipart_object_is_recognised_by_its_stored_digest(bucket: Any, tmp_path: Path) -> None:
    """The ETag of a multipart upload is no MD5."""
    content = os.urandom(17 * MB)
    file = tmp_path / "f"
    file.write_bytes(content)
    from lidloop.files import sha256

    bucket.store("raw").put(file, "big", sha256=sha256(file))
    (tmp_path / "data").mkdir()
    shutil.copy(file, tmp_path / "data" / "big")
    assert pull(bucket.store("raw"), tmp_path / "data").downloaded == 0


def test_a_damaged_object_is_rejected(bucket: Any, tmp_path: Path, tree: Tree) -> None:
    bucket.put("raw/a", b"what came", sha256="0" * 64)
    with pytest.raises(StoreError, match=r"raw/a is damaged: its SHA-256 is \w{64}, not 0{64}"):
        pull(bucket.store("raw"), tmp_path / "data")
    assert tree(tmp_path / "data") == {}


def put_by_hand(bucket: Any, key: str) -> None:
    """Write an object whose key the client would reject or normalise."""
    host = bucket.server.endpoint.removeprefix("http://")
    url = SplitResult("http", host, f"/{bucket.name}/{quote(key)}", "", "")
    now = minio.time.utcnow()
    headers = sign_v4_s3(
        method="PUT",
        url=url,
        region="us-east-1",
        headers={"Host": host, "x-amz-date": minio.time.to_amz_date(now), "x-amz-content-sha256": EVIL},
        credentials=Credentials(bucket.server.access_key, bucket.server.secret_key),
        content_sha256=EVIL,
        date=now,
    )
    connection = http.client.HTTPConnection(host)
    connection.request("PUT", url.path, b"evil", headers)
    assert connection.getresponse().status == 200


@pytest.mark.parametrize("key", ["raw/../../etc/passwd", "raw//a", "raw/a\\b", "raw/\x01", "raw/./a"])
@pytest.mark.ceph
def test_a_key_outside_the_folder_is_rejected(bucket: Any, tmp_path: Path, tree: Tree, key: str) -> None:
    bucket.put("raw/good", b"1")
    put_by_hand(bucket, key)
    assert set(bucket.keys()) == {"raw/good", key}
    with pytest.raises(StoreError, match="not a valid file path"):
        pull(bucket.store("raw"), tmp_path / "data")
    assert not (tmp_path / "data").exists(), "no download starts if one key is invalid"


def test_a_link_out_of_the_folder_is_rejected(source: Source, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "data" / "afw").symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match="leads out of"):
        pull(open_store(source.address), tmp_path / "data")
    assert list((tmp_path / "outside").iterdir()) == []


def test_invalid_pulls_are_rejected(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, folder = open_store(source.address), tmp_path / "data"
    with pytest.raises(StoreError, match="no objects under"):
        pull(store.at("no-such-prefix"), folder)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="is a file"):
        pull(store, tmp_path / "file")
    pull(store.at("afw"), folder)
    with pytest.raises(StoreError, match=r"was filled from .*afw"):
        pull(store, folder)
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3))
    with pytest.raises(StoreError, match=r"GB are needed and the disk of .* has 0.00 GB free"):
        pull(store, tmp_path / "fresh")


@pytest.mark.ceph
def test_an_object_that_is_also_a_folder_is_rejected(bucket: Any, tmp_path: Path) -> None:
    bucket.put("raw/a", b"1")
    bucket.put("raw/a/b", b"2")
    with pytest.raises(StoreError, match=r"'a' is an object and the folder of 'a/b'"):
        pull(bucket.store("raw"), tmp_path / "data")


def test_a_folder_is_not_pulled_into_itself(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a").write_bytes(b"1")
    with pytest.raises(StoreError, match="give a folder elsewhere"):
        pull(LocalStore(tmp_path / "s"), tmp_path / "s" / "copy")


def test_parallel_pulls_into_one_folder_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a").write_bytes(b"1")

    class Busy(LocalStore):
        def reader(self, item: Item, offset: int = 0) -> Any:
            with pytest.raises(StoreError, match="another process downloads into"):
                pull(LocalStore(tmp_path / "s"), tmp_path / "data")
            return super().reader(item, offset)

    assert pull(Busy(tmp_path / "s"), tmp_path / "data").downloaded == 1


def test_the_first_error_stops_the_other_downloads(bucket: Any, tmp_path: Path) -> None:
    for number in range(60):
        bucket.put(f"raw/{number:02}", b"x" * 1000, sha256="0" * 64 if number == 3 else "")
    with pytest.raises(StoreError, match="03 is damaged"):
        pull(bucket.store("raw"), tmp_path / "data", workers=2)
    assert len(list((tmp_path / "data").glob("[0-9]*"))) < 30


@pytest.mark.ceph
def test_pull_survives_cut_connections(bucket: Any, tmp_path: Path, tree: Tree) -> None:
    files = {f"{number}": os.urandom(MB) for number in range(8)}
    for key, content in files.items():
        bucket.put(f"raw/{key}", content)
    with Proxy(bucket.server.port) as proxy:
        proxy.cuts, proxy.cut_down = 3, 2 * MB
        pull(bucket.store("raw", endpoint=proxy.endpoint), tmp_path / "data")
        assert proxy.done_cuts == 3
    assert tree(tmp_path / "data") == files


@pytest.mark.ceph
def test_a_killed_pull_resumes(bucket: Any, tmp_path: Path, tree: Tree) -> None:
    files = {"1": os.urandom(MB), "2": os.urandom(16 * MB), "3": b"last"}
    for key, content in files.items():
        bucket.put(f"raw/{key}", content)
    folder = tmp_path / "data"
    with Proxy(bucket.server.port) as proxy:
        proxy.stall = 12 * MB
        command = "from pathlib import Path; from lidloop.storage import *; import sys; " \
                  "pull(open_store(sys.argv[1]), Path(sys.argv[2]), workers=1)"  # fmt: skip
        address = bucket.address("raw", endpoint=proxy.endpoint)
        process = subprocess.Popen([sys.executable, "-c", command, address, str(folder)])
        kill_once_there(process, folder, ".lidloop-store/parts/*", 8 * MB)
    assert tree(folder) == {"1": files["1"]}, "no incomplete file"
    with Proxy(bucket.server.port) as proxy:
        pulled = pull(bucket.store("raw", endpoint=proxy.endpoint), folder)
        assert proxy.down < 9 * MB, "half of the second file was there already"
    assert (pulled.unchanged, pulled.downloaded) == (1, 2)
    assert tree(folder) == files
    assert not (folder / ".lidloop-store" / "parts").exists()


def test_a_truncated_record_is_recovered(source: Source, tmp_path: Path, tree: Tree) -> None:
    folder = tmp_path / "data"
    pull(open_store(source.address), folder)
    record = folder / ".lidloop-store" / "record.jsonl"
    record.write_bytes(record.read_bytes()[:-7])
    assert pull(open_store(source.address), folder).downloaded == 0, "the file is known by its digest"
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    assert {row["key"] for row in rows[1:]} == set(FILES)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a").write_bytes(b"1")
    pull(LocalStore(tmp_path / "s"), tmp_path / "d")
    (tmp_path / "d" / ".lidloop-store" / "record.jsonl").write_bytes(b"nonsense\n")
    with pytest.raises(StoreError, match=r"record.jsonl is damaged; remove .*lidloop-store"):
        pull(LocalStore(tmp_path / "s"), tmp_path / "d")
    shutil.rmtree(tmp_path / "d" / ".lidloop-store")
    assert pull(LocalStore(tmp_path / "s"), tmp_path / "d").unchanged == 1


class Broken(LocalStore):
    """Store that fails while its n-th object is read."""

    left = 0

    def reader(self, item: Item, offset: int = 0) -> Any:
        type(self).left -= 1
        if self.left == 0:
            raise StoreError("broken")
        return super().reader(item, offset)


NAMES = st.text("abc", min_size=1, max_size=3)
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=20), min_size=1
)


@examples(40)
@given(before=TREES, after=TREES, breaks=st.integers(1, 6))
def test_any_tree_is_pulled_completely_after_interruptions(
    before: dict[str, bytes], after: dict[str, bytes], breaks: int
) -> None:
    with tempfile.TemporaryDirectory() as place:
        root, folder = Path(place) / "s", Path(place) / "d"
        wanted = {}
        for tree in (before, after):
            shutil.rmtree(root, ignore_errors=True)
            wanted = {key: content for key, content in tree.items() if not _below_another(key, tree)}
            for key, content in wanted.items():
                (root / key).parent.mkdir(parents=True, exist_ok=True)
                (root / key).write_bytes(content)
            for store in _stores(root, breaks):
                try:
                    pull(store, folder, prune=True)
                except StoreError as error:
                    if str(error) != "broken":
                        raise
        found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        assert {k: v for k, v in found.items() if not k.startswith(".lidloop-store/")} == wanted
        again = pull(LocalStore(root), folder)
        assert (again.downloaded, again.left_over) == (0, ())


def _below_another(key: str, tree: dict[str, bytes]) -> bool:
    parts = key.split("/")
    return any("/".join(parts[:n]) in tree for n in range(1, len(parts)))


def _stores(root: Path, breaks: int) -> Iterator[LocalStore]:
    broken = Broken(root)
    Broken.left = breaks
    yield broken
    yield LocalStore(root)
    yield LocalStore(root)
