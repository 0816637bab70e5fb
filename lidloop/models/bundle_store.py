"""Upload and download of bundles: a prefix for each version, complete or absent for readers.

``bundle.json`` goes last, and a prefix without it counts as absent. It lists the SHA-256 of every other file,
and every download is checked against that before it takes its place. What a version holds never changes:
another content under the same prefix is refused.
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
    """Files that were not there already; empty where the whole bundle was."""


@dataclass(frozen=True, slots=True)
class Held:
    """A bundle in a store, as its ``bundle.json`` says."""

    run: str
    iteration: int
    created: str
    bytes: int
    digest: str
    """SHA-256 of ``bundle.json``."""


def push_bundle(bundle: Bundle, store: Store, *, progress: Bytes | None = None) -> Pushed:
    """Upload a bundle to a prefix of its own. Pushing the same bundle again changes nothing.

    An upload that was cut off is completed by pushing again; until then readers see no bundle.

    Args:
        bundle: a bundle; its digests are checked again before and while it is read.
        store: its prefix, such as ``s3://BUCKET/models/lidloop/7``.
        progress: called with bytes done and in all.

    Raises:
        StoreError: where the prefix holds another bundle or other objects, or the store cannot be written.
        ModelError: where the bundle is damaged.
    """
    bundle = Bundle.open(bundle.root)
    manifest = (bundle.root / MANIFEST).read_bytes()
    files: dict[str, dict[str, Any]] = bundle.info["files"]
    meter = Meter(sum(entry["bytes"] for entry in files.values()) + len(manifest), progress)
    there = store.read(MANIFEST, limit=MANIFEST_BYTES)
    if there is not None and there != manifest:
        raise _other(store, there)
    _refuse_foreign_objects(store, {MANIFEST, *files})
    uploaded = []
    for name in sorted(files, key=lambda name: name != ONNX):  # first: it marks an upload that has begun
        entry = files[name]
        if _is_there(store, name, entry):
            meter.move(entry["bytes"])
        else:
            store.put(bundle.root / name, name, sha256=entry["sha256"], progress=meter.move)
            uploaded.append(name)
    if there is not None:
        meter.move(len(manifest))
    elif store.put(
        bundle.root / MANIFEST, MANIFEST, sha256=bundle.digest, progress=meter.move, only_if_absent=True
    ):
        uploaded.append(MANIFEST)
    _check_published(store, manifest, files)
    return Pushed(str(store), bundle.digest, meter.total, tuple(uploaded))


def pull_bundle(store: Store, out: Path, *, overwrite: bool = False, progress: Bytes | None = None) -> Bundle:
    """Download a bundle; its folder appears complete and verified, or not at all.

    A download that was killed is resumed. Files that are missing from the same bundle at ``out`` are
    restored.

    Args:
        store: the bundle's prefix.
        out: folder of the bundle.
        overwrite: replace another bundle at ``out``, or the same one with changed files.
        progress: called with bytes done and in all.

    Raises:
        StoreError: where there is no complete bundle, it cannot be read, an object is not what it should be,
            or ``out`` holds something that must not be replaced.
        ModelError: where it is of another format.
    """
    manifest = store.read(MANIFEST, limit=MANIFEST_BYTES)
    if manifest is None:
        raise StoreError(_why_absent(store))
    digest = _digest(manifest)
    if (out / MANIFEST).is_file() and sha256(out / MANIFEST) == digest and (held := _intact(out)):
        return held
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
            # From here on its names, sizes and digests are known to be well-formed.
            _download(store, info["files"], stage, Meter(_bytes(info["files"]), progress))
            with folder_atomic(out, replace=replace) as folder:
                for name in (MANIFEST, *info["files"]):
                    link_or_copy(stage / name, folder / name)
                Bundle.open(folder, name=str(store))
            shutil.rmtree(stage)
    return Bundle(out, info)


def _may_replace(out: Path, digest: str, overwrite: bool) -> bool:
    """Return whether a bundle at ``out`` is to be replaced; False where nothing is there.

    Raises:
        StoreError: where ``out`` holds anything that is not of a bundle; and without ``overwrite``, where it
            holds another bundle, or changed files.
    """
    if not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        files = Bundle.open(out, verify=False).info["files"]
    except ModelError:
        raise StoreError(f"{out} is there and is no bundle; give another folder or move it away") from None
    foreign = sorted(path.name for path in out.iterdir() if path.name not in {MANIFEST, *files})
    if foreign:
        raise StoreError(
            f"{out} holds files that are not of its bundle ({', '.join(foreign[:_SHOWN])}) and would be "
            "replaced; move them away or give another folder"
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


def held_bundle(store: Store) -> Held | None:
    """Bundle at a prefix; None where there is none, or its upload has not ended.

    Raises:
        NotABundle: where its ``bundle.json`` cannot be understood.
    """
    manifest = store.read(MANIFEST, limit=MANIFEST_BYTES)
    return None if manifest is None else _held(store, manifest)


def is_unfinished(store: Store) -> bool:
    """True if a prefix holds the model of a bundle but not yet its ``bundle.json``."""
    return store.stat(ONNX) is not None and store.stat(MANIFEST) is None


def _held(store: Store, manifest: bytes) -> Held:
    try:
        info = json.loads(manifest)
        return Held(
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


def _intact(root: Path) -> Bundle | None:
    try:
        return Bundle.open(root)
    except ModelError:
        return None  # damaged here, so it is downloaded again


def _download(store: Store, files: Mapping[str, Mapping[str, Any]], stage: Path, meter: Meter) -> None:
    items = {item.key: item for item in store.items(recursive=False)}
    for name, entry in files.items():
        item = items.get(name)
        if item is None or item.size != entry["bytes"]:
            what = "is missing" if item is None else f"has {item.size} bytes, not {entry['bytes']}"
            raise StoreError(f"{store} is damaged: {name} {what}; push the bundle again")
        place = stage / name
        if place.is_file() and sha256(place) == entry["sha256"]:
            meter.move(item.size)
        else:
            fetch(store, item, place, work=stage / "parts", sha256=entry["sha256"], progress=meter.move)


def _is_there(store: Store, name: str, entry: Mapping[str, Any]) -> bool:
    found = store.stat(name)
    return found is not None and (found.size, found.sha256) == (entry["bytes"], entry["sha256"])


def _refuse_foreign_objects(store: Store, names: Collection[str]) -> None:
    foreign = list(islice((item.key for item in store.items() if item.key not in names), _SHOWN))
    if foreign:
        raise StoreError(
            f"{store} holds objects that are not of this bundle: "
            f"{', '.join(foreign)}{' …' * (len(foreign) == _SHOWN)}; "
            "push to a prefix of its own, such as s3://BUCKET/models/lidloop/7, or remove what an upload "
            "left there"
        )


def _other(store: Store, manifest: bytes) -> StoreError:
    held = _held(store, manifest)
    return StoreError(
        f"{store} holds another bundle (run {held.run}, iteration {held.iteration}, of {held.created}); "
        "what a version holds never changes, so push to another prefix"
    )


def _check_published(store: Store, manifest: bytes, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that no other push wrote to the same prefix meanwhile."""
    there = store.read(MANIFEST, limit=MANIFEST_BYTES)
    if there is not None and there != manifest:
        raise _other(store, there)
    wrong = [name for name, entry in files.items() if not _is_like(store.stat(name), entry)]
    if there is None or wrong:
        raise StoreError(
            f"{store} was written to by something else during the push ({', '.join(wrong) or MANIFEST}); "
            "readers refuse it by its digests. Remove the prefix and push again"
        )


def _is_like(found: Item | None, entry: Mapping[str, Any]) -> bool:
    return (
        found is not None
        and found.size == entry["bytes"]
        and found.sha256 in ("", entry["sha256"])  # a server may drop what is kept beside an object
    )


def _why_absent(store: Store) -> str:
    if is_unfinished(store):
        return f"{store} holds a bundle whose upload has not ended; push it again"
    return f"there is no bundle at {store}; `lidloop store list` with the part before it shows what there is"
