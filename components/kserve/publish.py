"""Push the bundle of a registered version to the object store that KServe reads."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from components.kserve.state import DeployError, Model


def placement(registry: str, version: str, models: str) -> Model:
    """Return the model with its address ``MODELS/VERSION``. Nothing is pushed.

    Args:
        registry: folder or address of the registry.
        version: a number, or ``champion``.
        models: ``s3://BUCKET/PREFIX``, an address for ``lidloop.storage``.

    Raises:
        RegistryError: if there is no such version.
        StoreError: for an invalid address.
        DeployError: for an address that KServe cannot read.
    """
    from lidloop.registry.registry import Registry
    from lidloop.storage import open_store

    if not models.startswith("s3://"):
        raise DeployError(
            f"KServe reads models from s3://BUCKET/PREFIX, not from {models or 'an empty address'}; "
            "give it with --models or LIDLOOP_MODELS"
        )
    store = open_store(models)
    entry = Registry(registry, create=False).get(version)
    return Model(entry.version, str(store.at(entry.version)), entry.bundle)


def publish(
    registry: str, model: Model, models: str, *, progress: Callable[[int, int], None] | None = None
) -> bool:
    """Push the bundle to its address, complete or not at all; skip it if it is stored there already.

    Args:
        registry, models: as for ``placement``.
        model: from ``placement``.
        progress: called with the bytes done and the total.

    Returns:
        True if anything was pushed.

    Raises:
        RegistryError: if the registry has no such version, or its bundle cannot be read.
        StoreError: if the store cannot be written, or holds another bundle at the address.
        ModelError: if the bundle is damaged.
    """
    from lidloop.models.bundle_store import push_bundle, stored_bundle
    from lidloop.registry.registry import Registry
    from lidloop.storage import open_store

    store = open_store(models).at(model.version)
    stored = stored_bundle(store)
    if stored is not None and stored.digest == model.digest:
        return False
    with tempfile.TemporaryDirectory(prefix="lidloop-") as temporary:
        bundle = Registry(registry, create=False).download(model.version, Path(temporary) / "bundle")
        push_bundle(bundle, store, progress=progress)
    return True
