"""Options that name the model, and the notice about the starter: shared by ``screen`` and ``serve``."""

from __future__ import annotations

from typing import Any

import typer

from lidloop.cli.console import say
from lidloop.cli.paths import place
from lidloop.starter.choose import DEFAULT_REGISTRY, NOTICE, STARTER
from serving.settings import Settings


def model_option(show_default: str, **more: Any) -> Any:
    """Option ``--model``; ``more`` goes to ``typer.Option``."""
    return typer.Option(
        "--model",
        "-m",
        parser=place,
        metavar="DIR|champion|VERSION|starter",
        help="Folder of a bundle, champion of the registry, number of a version, or starter: the weights "
        "that come with lidloop.",
        show_default=show_default,
        **more,
    )


def registry_option(**more: Any) -> Any:
    """Option ``--registry``; ``more`` goes to ``typer.Option``."""
    return typer.Option(
        "--registry",
        envvar="LIDLOOP_REGISTRY",
        parser=place,
        metavar="DIR|URI",
        help="Registry with champion and versions.",
        show_default=f"{DEFAULT_REGISTRY} if it exists",
        **more,
    )


def say_if_starter(settings: Settings) -> None:
    """Say on stderr that the starter is used, where nobody named a model."""
    from serving.model import resolve

    if not settings.model and resolve(settings) == STARTER:
        say(NOTICE, err=True)
