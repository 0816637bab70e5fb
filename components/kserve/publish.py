"""A registered version's bundle, where KServe reads it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from components.kserve.state import DeployError, Model


def placement(registry: str, version: str, models: str) -> Model:
    """Where a version belongs: at ``MODELS/VERSION``. Nothing is pushed.

    Args:
        registry: folder or address of the registry.
        version: a number, or ``champion``.
        models: ``s3://BUCKET/PREFIX``, as ``lidloop.storage`` takes it.

    Raises:
        RegistryError: where there is no such version.
        StoreError: for an address that cannot be right.
        DeployError: for a place that KServe does not read.
    """
    from lidloop.registry.registry import Registry
    from lidloop.storage import open_store

    if not models.startswith("s3://"):
        raise DeployError(
            f"KServe reads models from s3://BUCKET/PREFIX, not from {models or 'nowhere'}; "
            "say where with --models or LIDLOOP_MODELS"
        )
    store = open_store(models)
    entry = Registry(registry, create=False).get(version)
    return Model(entry.version, str(store.at(entry.version)), entry.bundle)


def publish(
    registry: str, model: Model, models: str, *, progress: Callable[[int, int], None] | None = None
) -> bool:
    """Push the bundle to its place, complete or not at all. One that is there stays.

    Args:
        registry, models: as ``placement`` takes them.
        model: what ``placement`` answered.
        progress: called with bytes done and in all.

    Returns:
        Whether anything had to be pushed.

    Raises:
        RegistryError: where the registry has no such version, or its bundle cannot be read.
        StoreError: where the store cannot be written to, or holds another bundle there.
        ModelError: where the bundle is damaged.
    """
    from lidloop.models.bundle_store import held_bundle, push_bundle
    from lidloop.registry.registry import Registry
    from lidloop.storage import open_store

    store = open_store(models).at(model.version)
    held = held_bundle(store)
    if held is not None and held.digest == model.digest:
        return False
    with tempfile.TemporaryDirectory(prefix="lidloop-") as temporary:
        bundle = Registry(registry, create=False).download(model.version, Path(temporary) / "bundle")
        push_bundle(bundle, store, progress=progress)
    return True
