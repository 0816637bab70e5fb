"""``lidloop registry``: look at versions, and choose the champion by hand."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lidloop.registry.registry import Registry
from lidloop.registry.versions import ModelVersion

registry_app = typer.Typer(
    name="registry",
    no_args_is_help=True,
    help="The models of all runs, their lineage, and which of them is the champion.\n\n"
    "A registry is a folder (an MLflow sqlite file and the bundles) or the address of an MLflow server; its "
    "password comes from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. `lidloop run` fills it.",
)

Where = Annotated[
    str,
    typer.Option(
        "--registry",
        envvar="LIDLOOP_REGISTRY",
        metavar="DIR|URI",
        help="Folder of the registry, or sqlite:///FILE, or http(s)://SERVER.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DEFAULT_REGISTRY = "runs/registry"


@registry_app.command("list")
def list_command(registry: Where = DEFAULT_REGISTRY, as_json: AsJson = False) -> None:
    """List all versions with their labels and gold metrics; ★ marks the champion."""
    versions = Registry(registry, create=False).versions()
    if as_json:
        typer.echo(json.dumps([version.to_dict() for version in versions], indent=1))
        return
    if not versions:
        typer.echo(f"{registry} has no versions yet")
        return
    table = Table("version", "run", "iteration", "labels", "NME", "lid error", "recall", "created")
    for name in ("version", "iteration", "labels", "NME", "lid error", "recall"):
        next(column for column in table.columns if column.header == name).justify = "right"
    for version in versions:
        table.add_row(
            f"{'★ ' if version.champion else ''}{version.version}",
            version.run,
            str(version.iteration),
            _labels(version),
            *(_percent(version.gold.get(key)) for key in ("nme_mean", "lid_error_mean", "recall")),
            version.created[:16].replace("T", " "),
        )
    Console().print(table)


@registry_app.command("show")
def show_command(
    version: Annotated[str, typer.Argument(help="A version's number, or champion.")],
    registry: Where = DEFAULT_REGISTRY,
    as_json: AsJson = False,
) -> None:
    """Show one version: lineage, labels, gold metrics and what the gate said."""
    found = Registry(registry, create=False).get(version)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1))
        return
    rows: list[tuple[str, str]] = [
        ("version", found.version + (" (champion)" if found.champion else "")),
        ("run", found.run),
        ("iteration", str(found.iteration)),
        ("parent", found.parent or "none"),
        ("created", found.created),
        ("dataset", found.dataset),
        ("label version", str(found.label_version)),
        ("labels", _labels(found)),
        ("model.onnx", found.model),
    ]
    rows += [(f"gold {key}", _plain(value)) for key, value in found.gold.items()]
    if found.gate is not None:
        against = f" against version {found.gate['against']}" if found.gate["against"] else ""
        answer = "promote" if found.gate["promote"] else "do not promote"
        rows.append(("gate", f"{answer}{against}: {'; '.join(found.gate['reasons'])}"))
    table = Table(show_header=False, box=None)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


@registry_app.command("promote")
def promote_command(
    version: Annotated[str, typer.Argument(help="The version's number.")],
    registry: Where = DEFAULT_REGISTRY,
    force: Annotated[bool, typer.Option("--force", help="Promote whatever the gold gate says.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Kept in the champion's history.")] = "",
) -> None:
    """Make a version the champion if the gold gate lets it.

    The gate wants no loss of recall, and lid-opening error and NME better together, on the frozen human
    validation labels. It exits with 1 and the reasons where it refuses. Across datasets, or for a version
    that was rolled back from, use --force.
    """
    store = Registry(registry, create=False)
    if store.get(version).champion:
        typer.echo(f"version {version} is the champion already")
        return
    if not force:
        from lidloop.registry.steps import consider  # brings in the datasets, which serving leaves out

        decision = consider(store, version)
        if not decision.promote:
            typer.echo(f"version {version} was not promoted:", err=True)
            for line in decision.reasons:
                typer.echo(f"  {line}", err=True)
            typer.echo("--force promotes it all the same", err=True)
            raise typer.Exit(1)
        reason = reason or "; ".join(decision.reasons)
    champion = store.promote(version, reason=reason or "promoted by hand")
    typer.echo(f"version {champion.version} is the champion")


@registry_app.command("rollback")
def rollback_command(
    registry: Where = DEFAULT_REGISTRY,
    reason: Annotated[str, typer.Option("--reason", help="Kept in the champion's history.")] = "rolled back",
) -> None:
    """Make the previous champion the champion again. The gate never brings back what was left."""
    champion = Registry(registry, create=False).rollback(reason=reason)
    typer.echo(f"version {champion.version} is the champion again")


def _labels(version: ModelVersion) -> str:
    human = sum(counts.get("human", 0) for counts in version.labels.values())
    grown = sum(counts.get("grown", 0) for counts in version.labels.values())
    return f"{human} + {grown}" if grown else str(human)


def _percent(value: Any) -> str:
    return f"{100 * value:.2f} %" if isinstance(value, int | float) else "–"


def _plain(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, int | float) else "–"
