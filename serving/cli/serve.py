"""``lidloop serve`` and ``lidloop serve-key``; registers these and ``lidloop screen``."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Annotated

import typer

from lidloop.cli.paths import path as local_path
from lidloop.cli.paths import place as any_place
from serving.cli.model import model_option, registry_option, say_if_starter
from serving.cli.screen import screen
from serving.settings import SettingError, Settings

_MODEL = "Model"
_ACCESS = "Access"
_LOAD = "Load"


def register(app: typer.Typer) -> None:
    """Add the commands to the root app."""
    app.command("serve")(serve)
    app.command("serve-key")(serve_key)
    app.command("screen")(screen)


def serve(
    model: Annotated[
        str | None,
        model_option(
            "/mnt/models if it has a model, else champion; starter without both", rich_help_panel=_MODEL
        ),
    ] = None,
    registry: Annotated[str | None, registry_option(rich_help_panel=_MODEL)] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Switch to a new champion without interrupting requests.", rich_help_panel=_MODEL
        ),
    ] = False,
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="onnxruntime|openvino",
            help="Runtime of the network.",
            show_default="onnxruntime",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    secondary_capture: Annotated[
        bool | None,
        typer.Option(
            "--secondary-capture",
            help="Accept DICOM Secondary Capture and JPEG Lossless as well.",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", help="Port to listen on.", show_default="8000")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            help="Port of a second server with the metrics only.",
            show_default="--port, with access control for keys of the scope metrics",
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            parser=local_path, help="File of API keys, made by `lidloop serve-key`.", rich_help_panel=_ACCESS
        ),
    ] = None,
    trusted_proxies: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS[,CIDR…]",
            help="Reverse proxies whose X-Forwarded-For names the caller, for the audit log.",
            show_default="none",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    audit: Annotated[
        str | None,
        typer.Option(
            parser=any_place,
            metavar="FILE|-",
            help="File to which a FHIR AuditEvent per request is appended; -: standard output.",
            show_default="-",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Server processes; a single one already uses all cores.",
            show_default="1",
            rich_help_panel=_LOAD,
        ),
    ] = None,
    queue: Annotated[
        int | None,
        typer.Option(help="Largest number of waiting requests.", show_default="8", rich_help_panel=_LOAD),
    ] = None,
) -> None:
    """Serve the screening endpoint, and a page to try it.

    Without API keys or JWTs it listens on loopback only. Every setting is also an environment variable
    LIDLOOP_…; docs/SERVING.md lists those without an option here (JWTs, limits, thresholds).

    [bold]Examples[/bold]

    The champion of a run, on this machine; then open http://127.0.0.1:8000:

    $ lidloop serve --registry runs/demo/registry

    A model folder, on all addresses, with API keys:

    $ lidloop serve-key "ward 3" --file keys.json
    $ lidloop serve --model models/lidloop/7 --host 0.0.0.0 --keys keys.json

    $ curl -H "Authorization: Bearer $KEY" -F image=@photo.jpg http://HOST:8000/v1/screen
    """
    settings = Settings.read(
        os.environ,
        model=model,
        registry=registry,
        watch=5.0 if watch else None,
        backend=backend,
        secondary_capture=secondary_capture,
        host=host,
        port=port,
        metrics_port=metrics_port,
        keys=str(keys) if keys else None,
        trusted_proxies=trusted_proxies,
        audit=audit,
        workers=workers,
        queue=queue,
    )
    check_address(settings)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would contain faces
    os.environ.update(settings.environment())
    from serving.server import serve_many, serve_one

    say_if_starter(settings)
    if settings.workers > 1:
        serve_many(settings)
    else:
        serve_one(settings)


def check_address(settings: Settings) -> None:
    """Check that a server without access control listens on loopback only.

    Raises:
        SettingError: an address is not loopback.
    """
    from lidloop.web.peers import is_loopback

    exposed = [h for h in (settings.host, settings.metrics_host) if h and not is_loopback(h)]
    if not settings.protected and exposed:
        raise SettingError(
            f"without API keys or JWTs the server listens on 127.0.0.1 only, not on {exposed[0]}: make a "
            "key with `lidloop serve-key` and give its file with --keys, or set LIDLOOP_JWT_ISSUER, "
            "LIDLOOP_JWT_AUDIENCE and LIDLOOP_JWKS"
        )


def serve_key(
    name: Annotated[str, typer.Argument(help="Owner of the key: a ward or a program, never a patient.")] = "",
    file: Annotated[
        Path, typer.Option(parser=local_path, help="File of API keys; created if it does not exist.")
    ] = Path("keys.json"),
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="screen|metrics|runs:start|runs:read|alerts",
            help="Scope: pictures, metrics, or `lidloop trigger`. Repeatable.",
            show_default="screen",
        ),
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; default: never.")] = None,
    revoke: Annotated[str, typer.Option(metavar="ID", help="Revoke this key instead.")] = "",
    list_: Annotated[bool, typer.Option("--list", help="List the keys instead.")] = False,
) -> None:
    """Create, list or revoke an API key for `lidloop serve --keys` or `lidloop trigger --keys`.

    The key is printed once; the file has only its hash. A running server applies changes of the file at once.

    Examples: lidloop serve-key "ward 3" --days 365 · lidloop serve-key --list · lidloop serve-key --revoke ID
    """
    from lidloop.web.api_keys import SCOPES, SCREEN, add_key, read_keys, revoke_key

    if list_:
        for entry in read_keys(file):
            until = entry["expires"] or "never expires"
            typer.echo(f"{entry['id']}  {entry['created'][:10]}  {until:<25}  {entry['name']}")
    elif revoke:
        revoke_key(file, revoke)
        typer.echo(f"revoked {revoke}")
    elif name:
        unknown = sorted(set(scope or ()) - set(SCOPES))
        if unknown:
            raise SettingError(f"unknown scope {unknown[0]!r}; valid scopes: {', '.join(SCOPES)}")
        typer.echo(add_key(file, name, scopes=tuple(scope or (SCREEN,)), days=days))
    else:
        raise SettingError("the name of the owner is missing: lidloop serve-key NAME")
