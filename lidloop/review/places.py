"""Places under which an annotation tool finds the pictures of an export."""

from __future__ import annotations

from collections.abc import Callable

from lidloop.data.dataset import Dataset
from lidloop.data.image_store import key_of
from lidloop.data.picture_index import ImageRecord
from lidloop.errors import LidloopError
from lidloop.review.exchange import Manifest
from lidloop.storage import open_store
from lidloop.storage.files import is_stored, split_name

Place = Callable[[ImageRecord], str]


def on_this_machine(dataset: Dataset) -> Place:
    """Paths; pictures of a shared store are downloaded for them."""
    return lambda record: str(dataset.path(record.id))


def with_prefix(prefix: str) -> Place:
    """A prefix and the file names."""
    return lambda record: f"{prefix}{record.file.rpartition('/')[2]}"


def in_store(dataset: Dataset, dataset_place: str) -> Place:
    """``s3://`` addresses with the parameters of the store.

    Args:
        dataset: the pictures.
        dataset_place: address of its folder; empty if that is on this machine.

    Raises:
        LidloopError: if the pictures are not in a store.
    """
    shared = str(dataset.info.get("pictures") or "")
    root = shared or dataset_place
    if not is_stored(root):
        raise LidloopError(
            "the pictures lie on this machine, not in a store: name them by --pictures path, or where a tool "
            "finds them by --picture-prefix"
        )
    address, mark, parameters = root.partition("?")

    def place(record: ImageRecord) -> str:
        key = key_of(record) if shared else f"images/{record.file}"
        return f"{address.rstrip('/')}/{key}{mark}{parameters}"

    return place


def without_parameters(manifest: Manifest) -> Manifest:
    """The manifest with addresses as other programs know them: ``s3://BUCKET/KEY``."""
    return _changed(manifest, lambda place: place.partition("?")[0] if is_stored(place) else place)


def presigned(manifest: Manifest, hours: int) -> Manifest:
    """The manifest with a URL for each picture that anybody can read it from for some hours.

    Args:
        manifest: with places of ``in_store``.
        hours: 1 to ``picture_names.MAX_HOURS``.

    Raises:
        StoreError: without keys to sign with.
    """
    from lidloop.storage.s3 import S3Store

    stores: dict[str, S3Store] = {}

    def signed(place: str) -> str:
        above, name = split_name(place)
        if above not in stores:
            store = open_store(above)
            assert isinstance(store, S3Store)
            stores[above] = store
        return stores[above].presigned(name, 3600 * hours)

    return _changed(manifest, signed)


def _changed(manifest: Manifest, change: Callable[[str], str]) -> Manifest:
    pictures = [p.model_copy(update={"place": change(p.place)}) for p in manifest.pictures]
    return manifest.model_copy(update={"pictures": pictures})
