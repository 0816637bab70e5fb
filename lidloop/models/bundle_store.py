"""Upload and download of bundles: a prefix for each version, complete or absent for readers.

``bundle.json`` is uploaded last; a prefix without it counts as absent. It lists the SHA-256 of every other
file, and downloads are verified against that. Versions are immutable: a push of other content to the same
prefix is rejected.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from lidloop.errors import ModelError, StoreError
from lidloop.files import folder_atomic, link_or_copy, sha256, write_atomic
from lidloop.models.bundle import MANIFEST, ONNX, Bundle
from lidloop.storage.local import WORK, disk_errors
from lidloop.storage.record import locked
from lidloop.storage.store import Bytes, Item, Meter, Store
from lidloop.storage.transfer import fetch

MANIFEST_BYTES: Final = 1 << 20
_SHOWN: Final = 5


class NotABundle(StoreError):
    """A ``bundle.json`` that is not that of a bundle."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """Result of a push."""

    address: str
    digest: str
    """SHA-256 of ``bundle.json``."""
    bytes: int
    uploaded: tuple[str, ...]
    """Files that were not in the store yet; empty if all were."""


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """Summary of a bundle in a store, from its ``bundle.json``."""

    run: str
    iteration: int
    created: str
    bytes: int
    digest: str
    """SHA-256 of ``bundle.json``."""


def push_bundle(bundle: Bundle, store: Store, *, progress: Bytes | None = None) -> Pushed:
    """Upload a bundle to its own prefix. Idempotent; a second push completes an interrupted one.

    Until the upload is complete, readers see no bundle.

    Args:
        bundle: the bundle; its digests are verified before and during the upload.
        store: the prefix, such as ``s3://BUCKET/models/lidloop/7``.
        progress: called with bytes done and total bytes.

    Raises:
        StoreError: if the prefix holds another bundle or other objects, or the store cannot be written.
        ModelError: if the bundle is damaged.
    """
    bundle = Bundle.open(bundle.root)
    manifest = (bundle.root / MANIFEST).read_bytes()
    files: dict[str, dict[str, Any]] = bundle.info["files"]
    meter = Meter(sum(entry["bytes"] for entry in files.values()) + len(manifest), progress)
    published = store.read(MANIFEST, limit=MANIFEST_BYTES)
    if published is not None and published != manifest:
        raise _another_bundle(store, published)
    _refuse_foreign_objects(store, {MANIFEST, *files})
    uploaded = []
    for name in sorted(files, key=lambda name: name != ONNX):  # the model first: it marks a started upload
        entry = files[name]
        if _is_uploaded(store, name, entry):
            meter.move(entry["bytes"])
        else:
            store.put(bundle.root / name, name, sha256=entry["sha256"], progress=meter.move)
            uploaded.append(name)
    if published is not None:
        meter.move(len(manifest))
    elif store.put(
        bundle.root / MANIFEST, MANIFEST, sha256=bundle.digest, progress=meter.move, only_if_absent=True
    ):
        uploaded.append(MANIFEST)
    _check_published(store, manifest, files)
    return Pushed(str(store), bundle.digest, meter.total, tuple(uploaded))


def pull_bundle(store: Store, out: Path, *, overwrite: bool = False, progress: Bytes | None = None) -> Bundle:
    """Download a bundle atomically: its folder appears complete and verified, or not at all.

    An interrupted download is resumed. Missing files of the same bundle at ``out`` are restored.

    Args:
        store: the bundle's prefix.
        out: folder of the bundle.
        overwrite: replace another bundle at ``out``, or the same one with changed files.
        progress: called with bytes done and total bytes.

    Raises:
        StoreError: if there is no complete bundle, it cannot be read or is damaged, or ``out`` holds files
            that must not be replaced.
        ModelError: if it has another format.
    """
    manifest = store.read(MANIFEST, limit=MANIFEST_BYTES)
    if manifest is None:
        raise StoreError(_absence_message(store))
    digest = _digest(manifest)
    if (out / MANIFEST).is_file() and sha256(out / MANIFEST) == digest and (present := _open_if_valid(out)):
        return present
    replace = _may_replace(out, digest, overwrite)
    stage = out.parent / f"{WORK}-{_digest(out.name.encode())[:8]}-{digest[:24]}"
    with disk_errors(out):
        stage.mkdir(parents=True, exist_ok=True)
        with locked(stage / "lock", out):
            write_atomic(stage / MANIFEST, manifest)
            try:
                info = Bundle.open(stage, verify=False, name=str(store)).info
            except ModelError:
                shutil.rmtree(stage)
                raise
            # Names, sizes and digests in the manifest are valid from here on.
            _download(store, info["files"], stage, Meter(_bytes(info["files"]), progress))
            with folder_atomic(out, replace=replace) as folder:
                for name in (MANIFEST, *info["files"]):
                    link_or_copy(stage / name, folder / name)
                Bundle.open(folder, name=str(store))
            shutil.rmtree(stage)
    return Bundle(out, info)


def _may_replace(out: Path, digest: str, overwrite: bool) -> bool:
    """Return True if a bundle at ``out`` is to be replaced, False if nothing is there.

    Raises:
        StoreError: if ``out`` holds files that are not of a bundle; without ``overwrite`` also if it holds
            another bundle or changed files.
    """
    if not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        files = Bundle.open(out, verify=False).info["files"]
    except ModelError:
        raise StoreError(f"{out} exists and is not a bundle; give another folder or move it away") from None
    foreign = sorted(path.name for path in out.iterdir() if path.name not in {MANIFEST, *files})
    if foreign:
        raise StoreError(
            f"{out} holds files outside its bundle ({', '.join(foreign[:_SHOWN])}), which would be "
            "lost; move them away or give another folder"
        )
    if overwrite:
        return True
    if sha256(out / MANIFEST) != digest:
        raise StoreError(f"{out} holds another bundle; give another folder, or replace it with --overwrite")
    changed = [
        name
        for name, entry in files.items()
        if os.path.lexists(out / name)
        and (not (out / name).is_file() or sha256(out / name) != entry["sha256"])
    ]
    if changed:
        raise StoreError(
            f"{', '.join(changed[:_SHOWN])} in {out} was changed; give another folder, or replace it with "
            "--overwrite"
        )
    return True


def stored_bundle(store: Store) -> StoredBundle | None:
    """Return a summary of the bundle at a prefix; None if there is none or its upload is incomplete.

    Raises:
        NotABundle: if its ``bundle.json`` is invalid.
    """
    manifest = store.read(MANIFEST, limit=MANIFEST_BYTES)
    return None if manifest is None else _parse_manifest(store, manifest)


def is_unfinished(store: Store) -> bool:
    """True if a prefix holds the model of a bundle but not yet its ``bundle.json``."""
    return store.stat(ONNX) is not None and store.stat(MANIFEST) is None


def _parse_manifest(store: Store, manifest: bytes) -> StoredBundle:
    try:
        info = json.loads(manifest)
        return StoredBundle(
            run=str(info["run"]),
            iteration=int(info["iteration"]),
            created=str(info["created"]),
            bytes=_bytes(info["files"]) + len(manifest),
            digest=_digest(manifest),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NotABundle(f"{store}/{MANIFEST} is not that of a bundle") from None


def _bytes(files: Mapping[str, Mapping[str, Any]]) -> int:
    return sum(int(entry["bytes"]) for entry in files.values())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _open_if_valid(root: Path) -> Bundle | None:
    try:
        return Bundle.open(root)
    except ModelError:
        return None  # damaged: download it again


def _download(store: Store, files: Mapping[str, Mapping[str, Any]], stage: Path, meter: Meter) -> None:
    items = {item.key: item for item in store.items(recursive=False)}
    for name, entry in files.items():
        item = items.get(name)
        if item is None or item.size != entry["bytes"]:
            what = "is missing" if item is None else f"has {item.size} bytes, not {entry['bytes']}"
            raise StoreError(f"{store} is damaged: {name} {what}; push the bundle again")
        path = stage / name
        if path.is_file() and sha256(path) == entry["sha256"]:
            meter.move(item.size)
        else:
            fetch(store, item, path, work=stage / "parts", sha256=entry["sha256"], progress=meter.move)


def _is_uploaded(store: Store, name: str, entry: Mapping[str, Any]) -> bool:
    found = store.stat(name)
    return found is not None and (found.size, found.sha256) == (entry["bytes"], entry["sha256"])


def _refuse_foreign_objects(store: Store, names: Collection[str]) -> None:
    foreign = list(islice((item.key for item in store.items() if item.key not in names), _SHOWN))
    if foreign:
        raise StoreError(
            f"{store} holds objects that are not of this bundle: "
            f"{', '.join(foreign)}{' …' * (len(foreign) == _SHOWN)}; "
            "push to an empty prefix, such as s3://BUCKET/models/lidloop/7, or remove objects of an "
            "incomplete upload"
        )


def _another_bundle(store: Store, manifest: bytes) -> StoreError:
    stored = _parse_manifest(store, manifest)
    return StoreError(
        f"{store} holds another bundle (run {stored.run}, iteration {stored.iteration}, of "
        f"{stored.created}). Versions are immutable: push to another prefix"
    )


def _check_published(store: Store, manifest: bytes, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that no other push wrote to the same prefix meanwhile."""
    published = store.read(MANIFEST, limit=MANIFEST_BYTES)
    if published is not None and published != manifest:
        raise _another_bundle(store, published)
    wrong = [name for name, entry in files.items() if not _matches(store.stat(name), entry)]
    if published is None or wrong:
        raise StoreError(
            f"{store} was changed by another writer during the push ({', '.join(wrong) or MANIFEST}); "
            "readers reject it because digests do not match. Remove the prefix and push again"
        )


def _matches(found: Item | None, entry: Mapping[str, Any]) -> bool:
    return (
        found is not None
        and found.size == entry["bytes"]
        and found.sha256 in ("", entry["sha256"])  # a server may drop metadata
    )


def _absence_message(store: Store) -> str:
    if is_unfinished(store):
        return f"{store} holds a bundle whose upload is incomplete; push it again"
    return f"there is no bundle at {store}; list its parent with `lidloop store list`"
