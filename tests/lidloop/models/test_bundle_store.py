"""Upload and download of bundles: atomic, immutable, verified."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lidloop.errors import ModelError, StoreError
from lidloop.models.bundle import Bundle
from lidloop.models.bundle_store import is_unfinished, pull_bundle, push_bundle, stored_bundle
from lidloop.storage import LocalStore, Store, open_store
from lidloop.storage.store import Progress, ignore
from tests.lidloop.conftest import kill_once_there
from tests.servers.proxies import Proxy

pytest.importorskip("minio")
pytestmark = pytest.mark.usefixtures("without_s3_keys")

Make = Callable[..., Bundle]
Tree = Callable[[Path], dict[str, bytes]]
MB = 1 << 20


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        found: Store = request.getfixturevalue("bucket").store("models/lidloop/7")
        return found
    return LocalStore(tmp_path / "store" / "models" / "lidloop" / "7")


def put(store: Store, key: str, content: bytes, place: Path) -> None:
    import hashlib

    place.write_bytes(content)
    store.put(place, key, sha256=hashlib.sha256(content).hexdigest())


class FailingStore:
    """Wrapper of a real store whose uploads fail from the n-th on (mock of a lost network)."""

    def __init__(self, store: Store, uploads: int) -> None:
        self._store, self._left = store, uploads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, path: Path, key: str, *, sha256: str, progress: Progress = ignore, **named: Any) -> bool:
        if self._left == 0:
            raise StoreError("network lost")
        self._left -= 1
        return self._store.put(path, key, sha256=sha256, progress=progress, **named)


def test_a_pushed_bundle_is_pulled_identically(
    store: Store, make_bundle: Make, tmp_path: Path, tree: Tree
) -> None:
    bundle = make_bundle(onnx=os.urandom(1000))
    seen: list[tuple[int, int]] = []
    pushed = push_bundle(bundle, store, progress=lambda done, total: seen.append((done, total)))
    assert pushed.uploaded[-1] == "bundle.json", "last, so a prefix with it is complete"
    assert set(pushed.uploaded) == {*bundle.info["files"], "bundle.json"}
    assert seen[-1] == (pushed.bytes, pushed.bytes)
    held = stored_bundle(store)
    assert held is not None
    assert (held.run, held.iteration, held.digest, held.bytes) == ("r", 1, bundle.digest, pushed.bytes)
    pulled = pull_bundle(store, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert tree(tmp_path / "out") == tree(bundle.root)
    assert Bundle.open(pulled.root).digest == bundle.digest
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == [], "no temporary folder is left"


def test_a_second_push_changes_nothing(store: Store, make_bundle: Make) -> None:
    bundle = make_bundle()
    push_bundle(bundle, store)
    before = [(item.key, item.tag) for item in store.items()]
    assert push_bundle(bundle, store).uploaded == ()
    assert [(item.key, item.tag) for item in store.items()] == before


def test_another_bundle_under_the_same_prefix_is_rejected(store: Store, make_bundle: Make) -> None:
    push_bundle(make_bundle(), store)
    before = [(item.key, item.tag) for item in store.items()]
    with pytest.raises(
        StoreError, match=r"holds another bundle \(run r, iteration 1, of 2025-.*another prefix"
    ):
        push_bundle(make_bundle("other", onnx=b"other", iteration=2), store)
    assert [(item.key, item.tag) for item in store.items()] == before


def test_a_prefix_with_other_objects_is_rejected(store: Store, make_bundle: Make, tmp_path: Path) -> None:
    put(store, "photo.jpg", b"1", tmp_path / "f")
    with pytest.raises(StoreError, match=r"not of this bundle: photo.jpg"):
        push_bundle(make_bundle(), store)
    assert [item.key for item in store.items()] == ["photo.jpg"]


@pytest.mark.parametrize("uploads", range(7))
def test_an_interrupted_push_is_invisible_and_can_be_completed(
    store: Store, make_bundle: Make, tmp_path: Path, tree: Tree, uploads: int
) -> None:
    """After each upload: readers see no bundle, and a second push uploads only the rest."""
    bundle = make_bundle()
    failing: Any = FailingStore(store, uploads)
    with pytest.raises(StoreError, match="network lost"):
        push_bundle(bundle, failing)
    assert len(list(store.items())) == uploads
    assert stored_bundle(store) is None
    assert is_unfinished(store) == (uploads > 0)
    with pytest.raises(
        StoreError, match="whose upload is incomplete" if uploads else "there is no bundle at"
    ):
        pull_bundle(store, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(push_bundle(bundle, store).uploaded) == len(bundle.info["files"]) + 1 - uploads
    pull_bundle(store, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(bundle.root)


def test_an_interrupted_push_is_replaced_by_another_bundle(
    store: Store, make_bundle: Make, tmp_path: Path, tree: Tree
) -> None:
    failing: Any = FailingStore(store, 3)
    with pytest.raises(StoreError):
        push_bundle(make_bundle(), failing)
    other = make_bundle("other", onnx=b"other", iteration=2)
    push_bundle(other, store)
    pull_bundle(store, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(other.root)


@pytest.mark.ceph
def test_concurrent_pushes_are_detected(store: Store, make_bundle: Make, tmp_path: Path) -> None:
    """The second manifest fails; readers reject a mixture of two bundles."""
    one, two = make_bundle("one"), make_bundle("two", onnx=b"other", iteration=2)

    class ConcurrentPush(FailingStore):
        def put(self, path: Path, key: str, **named: Any) -> bool:
            if key == "bundle.json":
                push_bundle(two, self._store)
            return self._store.put(path, key, **named)

    raced: Any = ConcurrentPush(store, -1)
    with pytest.raises(StoreError, match=r"holds another bundle \(run r, iteration 2"):
        push_bundle(one, raced)
    assert Bundle.open(pull_bundle(store, tmp_path / "out").root).digest == two.digest

    class MixedPush(FailingStore):
        def put(self, path: Path, key: str, **named: Any) -> bool:
            done = self._store.put(path, key, **named)
            if key == "bundle.json":
                put(self._store, "model.onnx", b"other", tmp_path / "f")
            return done

    mixed: Any = MixedPush(store.at("mixed"), -1)
    with pytest.raises(StoreError, match=r"during the push \(model.onnx\)"):
        push_bundle(one, mixed)
    with pytest.raises(StoreError, match=r"model.onnx is damaged|model.onnx has 5 bytes, not 4"):
        pull_bundle(store.at("mixed"), tmp_path / "mixed")
    assert not (tmp_path / "mixed").exists()


def test_a_damaged_bundle_is_not_pushed(store: Store, make_bundle: Make) -> None:
    bundle = make_bundle()
    (bundle.root / "model.onnx").unlink()
    (bundle.root / "model.onnx").write_bytes(b"onnX")
    with pytest.raises(ModelError, match="does not match its digest"):
        push_bundle(bundle, store)
    assert list(store.items()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"onnX", r"model.onnx is damaged: its SHA-256 is"),
        (b"longer", r"is damaged: model.onnx has 6 bytes, not 4; push the bundle again"),
        (None, r"is damaged: model.onnx is missing; push the bundle again"),
    ],
)
def test_a_bundle_damaged_in_the_store_is_rejected(
    bucket: Any, make_bundle: Make, tmp_path: Path, tree: Tree, content: bytes | None, words: str
) -> None:
    store = bucket.store("7")
    push_bundle(make_bundle(), store)
    bucket.client.remove_object(bucket.name, "7/model.onnx")
    if content is not None:
        bucket.put("7/model.onnx", content)
    held = make_bundle("held", iteration=2)
    before = tree(held.root)
    with pytest.raises(StoreError, match=words):
        pull_bundle(store, held.root, overwrite=True)
    assert tree(held.root) == before, "the existing bundle is unchanged"
    push_bundle(Bundle.open(tmp_path / "bundle"), store)
    with pytest.raises(StoreError, match="holds another bundle"):
        pull_bundle(store, held.root)
    assert tree(held.root) == before
    assert Bundle.open(pull_bundle(store, held.root, overwrite=True).root).info["iteration"] == 1


def test_invalid_manifests_are_rejected(store: Store, make_bundle: Make, tmp_path: Path) -> None:
    put(store, "bundle.json", b"{}", tmp_path / "f")
    with pytest.raises(ModelError, match="has format None"):
        pull_bundle(store, tmp_path / "out")
    with pytest.raises(StoreError, match="is not that of a bundle"):
        stored_bundle(store)
    with pytest.raises(StoreError, match="is not that of a bundle"):
        push_bundle(make_bundle(), store)
    evil = json.loads((tmp_path / "bundle" / "bundle.json").read_bytes())
    evil["files"]["../../evil"] = {"bytes": 1, "sha256": "0" * 64}
    put(store.at("evil"), "bundle.json", json.dumps(evil).encode(), tmp_path / "f")
    with pytest.raises(ModelError, match="which is not a file name in the bundle"):
        pull_bundle(store.at("evil"), tmp_path / "out")
    put(store.at("large"), "bundle.json", b" " * (MB + 1), tmp_path / "f")
    with pytest.raises(StoreError, match="more than 1048576 bytes"):
        pull_bundle(store.at("large"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_pull_keeps_other_files_and_local_changes(
    store: Store, make_bundle: Make, tmp_path: Path, tree: Tree
) -> None:
    bundle = make_bundle()
    push_bundle(bundle, store)
    taken = tmp_path / "taken"
    taken.mkdir()
    pull_bundle(store, taken)  # an empty folder
    (taken / "bundle.json").unlink()
    with pytest.raises(StoreError, match="is not a bundle"):
        pull_bundle(store, taken)
    damaged = pull_bundle(store, tmp_path / "damaged").root
    (damaged / "MODEL_CARD.md").unlink()
    pull_bundle(store, damaged)
    assert tree(damaged) == tree(bundle.root)
    (damaged / "MODEL_CARD.md").unlink()
    (damaged / "MODEL_CARD.md").write_text("with a remark of ours")
    with pytest.raises(StoreError, match=r"MODEL_CARD\.md in .* was changed"):
        pull_bundle(store, damaged)
    assert (damaged / "MODEL_CARD.md").read_text() == "with a remark of ours"
    pull_bundle(store, damaged, overwrite=True)
    assert tree(damaged) == tree(bundle.root)
    (damaged / "notes.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(StoreError, match=r"outside its bundle \(notes\.txt\)"):
            pull_bundle(store, damaged, overwrite=overwrite)
    assert (damaged / "notes.txt").read_text() == "years of work"


def test_an_existing_bundle_is_not_downloaded_again(bucket: Any, make_bundle: Make, tmp_path: Path) -> None:
    push_bundle(make_bundle(onnx=bytes(MB)), bucket.store("7"))
    pull_bundle(bucket.store("7"), tmp_path / "out")
    with Proxy(bucket.server.port) as proxy:
        pull_bundle(bucket.store("7", endpoint=proxy.endpoint), tmp_path / "out")
        assert proxy.down < 10_000


@pytest.mark.ceph
def test_push_and_pull_survive_cut_connections(
    bucket: Any, make_bundle: Make, tmp_path: Path, tree: Tree
) -> None:
    bundle = make_bundle(onnx=os.urandom(40 * MB))
    with Proxy(bucket.server.port) as proxy:
        proxy.cuts, proxy.cut_up = 3, 10 * MB
        push_bundle(bundle, bucket.store("7", endpoint=proxy.endpoint))
        assert proxy.done_cuts == 3
        proxy.cuts, proxy.cut_down = 3, 10 * MB
        pull_bundle(bucket.store("7", endpoint=proxy.endpoint), tmp_path / "out")
        assert proxy.done_cuts == 6
    assert tree(tmp_path / "out") == tree(bundle.root)


def test_push_fails_cleanly_if_the_network_stays_down(bucket: Any, make_bundle: Make, tmp_path: Path) -> None:
    bundle = make_bundle(onnx=os.urandom(17 * MB))
    with Proxy(bucket.server.port) as proxy:
        proxy.cuts, proxy.cut_up = 10_000, 2 * MB
        with pytest.raises(StoreError, match="the connection was cut"):
            push_bundle(bundle, bucket.store("7", endpoint=proxy.endpoint))
    assert stored_bundle(bucket.store("7")) is None
    assert "7/model.onnx" not in set(bucket.keys()), "no partial object"
    push_bundle(bundle, bucket.store("7"))
    assert pull_bundle(bucket.store("7"), tmp_path / "out").digest == bundle.digest


@pytest.mark.ceph
def test_a_killed_pull_resumes(bucket: Any, make_bundle: Make, tmp_path: Path, tree: Tree) -> None:
    bundle = make_bundle(onnx=os.urandom(16 * MB))
    push_bundle(bundle, bucket.store("7"))
    place = tmp_path / "place"
    with Proxy(bucket.server.port) as proxy:
        proxy.stall = 12 * MB
        command = [sys.executable, "-m", "lidloop.cli", "store", "pull"]
        process = subprocess.Popen(
            [*command, bucket.address("7", endpoint=proxy.endpoint), str(place / "out")]
        )
        kill_once_there(process, place, ".*/parts/*", 8 * MB)
    assert not (place / "out").exists()
    with Proxy(bucket.server.port) as proxy:
        pull_bundle(bucket.store("7", endpoint=proxy.endpoint), place / "out")
        assert proxy.down < 9 * MB, "half of the model was there already"
    assert tree(place) == {f"out/{key}": content for key, content in tree(bundle.root).items()}


def test_a_prefix_copied_by_other_tools_is_a_bundle(bucket: Any, make_bundle: Make, tmp_path: Path) -> None:
    bundle = make_bundle()
    push_bundle(bundle, bucket.store("7"))
    for item in bucket.store("7").items():
        (tmp_path / "copy").mkdir(exist_ok=True)
        (tmp_path / "copy" / item.key).write_bytes(bucket.get(f"7/{item.key}"))
    assert Bundle.open(tmp_path / "copy").digest == bundle.digest
    assert stored_bundle(open_store(tmp_path / "copy")) == stored_bundle(bucket.store("7"))
    shutil.rmtree(tmp_path / "copy")
