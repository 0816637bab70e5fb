"""``lidloop serve`` and ``lidloop screen``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from serving.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands to the root app."""
    app.command("serve")(serve)


def serve(
    model: Annotated[
        str, typer.Option("--model", "-m", help="A bundle's folder, 'champion' or a version.")
    ] = "",
    registry: Annotated[str | None, typer.Option(help="Registry of 'champion' and versions.")] = None,
    port: Annotated[int | None, typer.Option(help="Where to listen.")] = None,
) -> None:
    """Serve the screening endpoint."""
    import uvicorn

    from serving.app import create_app
    from serving.model import load

    settings = Settings.read(os.environ, model=model or None, registry=registry, port=port)
    config = uvicorn.Config(
        create_app(settings, load(settings)),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    uvicorn.Server(config).run()
