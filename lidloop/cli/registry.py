"""``lidloop registry``: list and show versions, and change the champion by hand."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from lidloop.cli.console import add_row, console, new_table, say
from lidloop.cli.options import AsJson, RegistryPlace
from lidloop.registry.registry import Registry
from lidloop.registry.versions import ModelVersion
from lidloop.starter.choose import DEFAULT_REGISTRY

registry_app = typer.Typer(
    name="registry",
    no_args_is_help=True,
    help="The models of all runs, their lineage, and which of them is the champion.\n\n"
    "A registry is a folder (an MLflow sqlite file and the bundles) or the address of an MLflow server; its "
    "password comes from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. `lidloop run` fills it.",
)


@registry_app.command("list")
def list_command(registry: RegistryPlace = DEFAULT_REGISTRY, as_json: AsJson = False) -> None:
    """List all versions with their labels and gold metrics; a star marks the champion."""
    versions = Registry(registry, create=False).versions()
    if as_json:
        typer.echo(json.dumps([version.to_dict() for version in versions], indent=1))
        return
    if not versions:
        say(f"{registry} has no versions yet")
        return
    numbers = ("version", "iteration", "labels", "NME", "lid error", "recall")
    table = new_table(
        "version", "run", "iteration", "labels", "NME", "lid error", "recall", "created", right=numbers
    )
    for version in versions:
        add_row(
            table,
            f"{'★ ' if version.champion else ''}{version.version}",
            version.run,
            version.iteration,
            _labels(version),
            *(_percent(version.gold.get(key)) for key in ("nme_mean", "lid_error_mean", "recall")),
            version.created[:16].replace("T", " "),
        )
    console().print(table)


@registry_app.command("show")
def show_command(
    version: Annotated[str, typer.Argument(help="A version's number, or champion.")],
    registry: RegistryPlace = DEFAULT_REGISTRY,
    as_json: AsJson = False,
) -> None:
    """Show one version: lineage, labels, gold metrics and the decision of the promotion gate."""
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
    table = new_table("", "", lines=False)
    for row in rows:
        add_row(table, *row)
    console().print(table)


@registry_app.command("promote")
def promote_command(
    version: Annotated[str, typer.Argument(help="The version's number.")],
    registry: RegistryPlace = DEFAULT_REGISTRY,
    force: Annotated[bool, typer.Option("--force", help="Promote without asking the gold gate.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Reason, kept in the champion's history.")] = "",
) -> None:
    """Make a version the champion if the gold gate accepts it.

    The gate requires no loss of recall, and lid-opening error and NME better together, on the frozen human
    validation labels. If it rejects the version, the command prints the reasons and exits with 1. Use --force
    across datasets, or for a version that was rolled back.
    """
    store = Registry(registry, create=False)
    if store.get(version).champion:
        say(f"version {version} is the champion already")
        return
    if not force:
        from lidloop.registry.steps import consider  # brings in the datasets, which serving leaves out

        decision = consider(store, version)
        if not decision.promote:
            say(f"version {version} was not promoted:", err=True)
            for line in decision.reasons:
                say(f"  {line}", err=True)
            say("--force promotes it all the same", err=True)
            raise typer.Exit(1)
        reason = reason or "; ".join(decision.reasons)
    champion = store.promote(version, reason=reason or "promoted by hand")
    say(f"version {champion.version} is the champion")


@registry_app.command("rollback")
def rollback_command(
    registry: RegistryPlace = DEFAULT_REGISTRY,
    reason: Annotated[
        str, typer.Option("--reason", help="Reason, kept in the champion's history.")
    ] = "rolled back",
) -> None:
    """Make the previous champion the champion again. The gate never promotes a rolled-back version."""
    champion = Registry(registry, create=False).rollback(reason=reason)
    say(f"version {champion.version} is the champion again")


def _labels(version: ModelVersion) -> str:
    human = sum(counts.get("human", 0) for counts in version.labels.values())
    grown = sum(counts.get("grown", 0) for counts in version.labels.values())
    return f"{human} + {grown}" if grown else str(human)


def _percent(value: Any) -> str:
    return f"{100 * value:.2f} %" if isinstance(value, int | float) else "–"


def _plain(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, int | float) else "–"
