"""Options that several commands share, and the model that ``--model`` and ``--registry`` name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from lidloop.cli.console import say
from lidloop.cli.paths import place
from lidloop.errors import doing
from lidloop.starter.choose import DEFAULT_REGISTRY, NOTICE, STARTER, is_default, verified_model


def _registry_option(show_default: bool | str = True) -> Any:
    return typer.Option(
        "--registry",
        envvar="LIDLOOP_REGISTRY",
        parser=place,
        metavar="DIR|URI",
        help="Folder of the registry, or sqlite:///FILE, or http(s)://SERVER.",
        show_default=show_default,
    )


def _model_option(show_default: bool | str = True) -> Any:
    return typer.Option(
        "--model",
        "-m",
        parser=place,
        metavar="DIR|FILE.onnx|champion|VERSION|starter",
        help="A bundle or model folder, an .onnx file, 'champion' or a version's number in the registry, or "
        "'starter': the weights that come with lidloop.",
        show_default=show_default,
    )


RegistryPlace = Annotated[str, _registry_option()]
OptionalRegistry = Annotated[str | None, _registry_option(f"{DEFAULT_REGISTRY} if it exists")]
Model = Annotated[str, _model_option()]
OptionalModel = Annotated[str | None, _model_option("champion; starter where there is no registry")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Sources = Annotated[
    list[str],
    typer.Option(
        "--source",
        "-s",
        help="Annotations: ibug:DIR, dlib:FILE.xml, coco:FILE.json or yolo:DIR; images without labels: "
        "images:DIR. DIR and FILE may be s3://…. May be repeated and mixed. Options follow the place, as in "
        "coco:FILE.json?fit=scale.",
    ),
]


@contextmanager
def model_folder(model: str, registry: str) -> Iterator[Path]:
    """Yield the folder of a model: a path as it is, a version downloaded from the registry and verified.

    Args:
        model: value of ``--model``; empty: the champion, or the starter where there is no registry, which is
            said on stderr. Other than ``starter``, anything that exists, or has a slash in it, is a path.
        registry: value of ``--registry``; empty: the default place.

    Raises:
        RegistryError: where the registry has no such version, or cannot be reached.
        ModelError: for a damaged bundle.
    """
    if is_default(model, registry):
        say(NOTICE, err=True)
        model = STARTER
    if model == STARTER:
        yield verified_model()
        return
    model, registry = model or "champion", registry or DEFAULT_REGISTRY
    path = Path(model)
    if path.exists() or len(path.parts) > 1:
        yield path
        return
    from lidloop.registry.registry import Registry

    with tempfile.TemporaryDirectory() as temporary:
        with doing(f"download the model {model}"):
            bundle = Registry(registry, create=False).download(model, Path(temporary) / "bundle")
        yield bundle.root
