"""``lidloop store``: download datasets and bundles, upload bundles, list an address."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.filesize import decimal

from lidloop.cli.console import add_row, console, new_table, progress, say
from lidloop.cli.options import AsJson
from lidloop.cli.paths import optional_place, path, place
from lidloop.errors import StoreError, doing
from lidloop.models.bundle import Bundle
from lidloop.models.bundle_store import (
    NotABundle,
    StoredBundle,
    is_unfinished,
    pull_bundle,
    push_bundle,
    stored_bundle,
)
from lidloop.storage import Item, Store, open_store, pull

store_app = typer.Typer(
    name="store",
    no_args_is_help=True,
    help="Download datasets and bundles, upload bundles: folders and any S3 server.\n\n"
    "An address is a folder or s3://BUCKET/PREFIX. The server is AWS_ENDPOINT_URL_S3, or "
    "?endpoint=https://HOST:PORT at the end of the address; a CA of your own is AWS_CA_BUNDLE or "
    "&ca_bundle=FILE. Keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or the file "
    "that AWS_SHARED_CREDENTIALS_FILE names; never part of an address. More: docs/STORAGE.md.",
)

Address = Annotated[
    str, typer.Argument(parser=place, metavar="ADDRESS", help="A folder, or s3://BUCKET/PREFIX.")
]


@store_app.command("pull")
def pull_command(
    address: Address,
    folder: Annotated[
        Path, typer.Argument(parser=path, metavar="DIR", help="Folder to fill or bring up to date.")
    ],
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace files that were changed here, or came from elsewhere, and another bundle.",
        ),
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove files of an earlier pull that are gone from the store.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Download a dataset, or a bundle, to a folder: only files that are missing or have changed.

    After a kill or a lost connection, the same command resumes. Every file is checked (size, and SHA-256
    where the store knows it) before it gets its name. A prefix with bundle.json in it is a bundle: its folder
    appears complete and verified, or not at all.

    Example: lidloop store pull s3://hospital/raw/300w data/300w
    """
    store = open_store(address)
    stored = stored_bundle(store)
    with doing(f"pull {store} to {folder}"), progress("download", unit="bytes") as update:
        if stored or is_unfinished(store):
            bundle = pull_bundle(store, folder, overwrite=overwrite, progress=update)
            answer: dict[str, Any] = {"address": str(store), "bundle": str(folder), "digest": bundle.digest}
        else:
            pulled = pull(store, folder, overwrite=overwrite, prune=prune, progress=update)
            answer = asdict(pulled)
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
    elif stored:
        size = decimal(stored.bytes)
        say(f"bundle of run {stored.run}, iteration {stored.iteration}, {size}, verified: {folder}")
    else:
        say(
            f"{pulled.files} files, {decimal(pulled.bytes)}: {pulled.downloaded} downloaded "
            f"({decimal(pulled.downloaded_bytes)}), {pulled.unchanged} unchanged: {folder}"
        )
        if pulled.removed:
            say(f"{len(pulled.removed)} files that are no longer in the store were removed")
        if pulled.left_over:
            first = pulled.left_over[0]
            say(
                f"{len(pulled.left_over)} files are no longer in the store but still here ({first} …); "
                "--prune removes the unchanged ones"
            )


@store_app.command("push")
def push_command(
    bundle: Annotated[
        str,
        typer.Argument(
            parser=place,
            metavar="BUNDLE",
            help="A bundle's folder; with --registry, a version or 'champion'.",
        ),
    ],
    address: Address,
    registry: Annotated[
        str,
        typer.Option(
            "--registry",
            parser=optional_place,
            metavar="DIR|URI",
            help="Registry that BUNDLE names a version of.",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Upload a bundle to a prefix of its own; readers see all of it or nothing.

    bundle.json is uploaded last. Pushing the same bundle again completes it or changes nothing; another
    bundle under the same prefix is rejected, so give each version its own.

    Example: lidloop store push champion s3://hospital/models/lidloop/7 --registry runs/mine/registry
    """
    store = open_store(address)
    with (
        doing(f"push to {store}"),
        _bundle(bundle, registry) as opened,
        progress("upload", unit="bytes") as update,
    ):
        pushed = push_bundle(opened, store, progress=update)
    if as_json:
        typer.echo(json.dumps(asdict(pushed), indent=1))
    elif pushed.uploaded:
        say(f"{len(pushed.uploaded)} files of {decimal(pushed.bytes)} in all: {store}")
    else:
        say(f"already complete: {store}")


@store_app.command("list")
def list_command(
    address: Address,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="All levels, not only this one.")
    ] = False,
    start_after: Annotated[str, typer.Option(metavar="KEY", help="Continue after this key.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Stop after so many.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """List the objects at an address, and which prefixes are complete bundles.

    A long list ends after --limit lines and prints how to continue.

    Example: lidloop store list s3://hospital/models/lidloop
    """
    store = open_store(address)
    found = list(islice(store.items(start_after=start_after, recursive=recursive), limit + 1))
    more, found = len(found) > limit, found[:limit]
    with ThreadPoolExecutor(8) as pool:
        bundles = list(pool.map(lambda item: _look(store, item), found))
    if as_json:
        rows = [_row(item, look) for item, look in zip(found, bundles, strict=True)]
        answer = {"address": str(store), "items": rows, "next": found[-1].key if more else None}
        typer.echo(json.dumps(answer, indent=1))
        return
    if not found:
        say(f"there is nothing {'after that key' if start_after else 'at ' + str(store)}")
        return
    table = new_table("key", "size", "what", right=("size",))
    for item, look in zip(found, bundles, strict=True):
        if isinstance(look, StoredBundle):
            what = f"bundle: run {look.run}, iteration {look.iteration}"
            add_row(table, item.key, decimal(look.bytes), what)
        else:
            add_row(table, item.key, "" if item.is_prefix else decimal(item.size), look)
    console().print(table)
    if more:
        say(f"there is more; continue with --start-after {shlex.quote(found[-1].key)}")


def _look(store: Store, item: Item) -> StoredBundle | str:
    """Bundle under a prefix, or a few words about what is there instead."""
    if not item.is_prefix:
        return ""
    try:
        below = store.at(item.key.removesuffix("/"))
    except StoreError:
        return "no folder can have this name"
    try:
        return stored_bundle(below) or ("unfinished bundle" if is_unfinished(below) else "")
    except NotABundle:
        return "bundle.json of something else"


def _row(item: Item, look: StoredBundle | str) -> dict[str, Any]:
    row: dict[str, Any] = {"key": item.key, "bytes": None if item.is_prefix else item.size}
    if look:
        row["bundle"] = asdict(look) if isinstance(look, StoredBundle) else look
    return row


@contextmanager
def _bundle(name: str, registry: str) -> Iterator[Bundle]:
    if not registry:
        yield Bundle.open(Path(name))
        return
    from lidloop.registry.registry import Registry

    with tempfile.TemporaryDirectory() as temporary:
        yield Registry(registry, create=False).download(name, Path(temporary) / "bundle")
