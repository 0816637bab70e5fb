"""``lidloop deploy``: serve a registered model with KServe, run it as a canary, promote it, roll back."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from components.kserve.create import IMAGE
from lidloop.cli.console import say
from lidloop.cli.options import RegistryPlace
from lidloop.cli.paths import optional_place
from lidloop.starter.choose import DEFAULT_REGISTRY

if TYPE_CHECKING:
    from components.kserve.rollout import Outcome, Rollout

deploy_app = typer.Typer(name="deploy", rich_markup_mode="rich")

_CLUSTER = "The cluster"
_NEW = "If there is no InferenceService yet"

Name = Annotated[
    str,
    typer.Option(
        "--name", envvar="LIDLOOP_SERVICE", help="Name of the InferenceService.", rich_help_panel=_CLUSTER
    ),
]
Namespace = Annotated[
    str,
    typer.Option(
        "--namespace", "-n", envvar="LIDLOOP_NAMESPACE", help="Namespace of the InferenceService.",
        show_default="that of the context, else lidloop", rich_help_panel=_CLUSTER,
    ),
]  # fmt: skip
Kubeconfig = Annotated[
    str,
    typer.Option(
        "--kubeconfig", parser=optional_place, metavar="FILE", help="Kubeconfig file of the cluster.",
        show_default="KUBECONFIG, else ~/.kube/config, or a pod's own", rich_help_panel=_CLUSTER,
    ),
]  # fmt: skip
Context = Annotated[
    str,
    typer.Option(
        "--context",
        help="Context of the kubeconfig.",
        show_default="its current one",
        rich_help_panel=_CLUSTER,
    ),
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=1, help="Seconds within which a change must become ready.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Take over the model from field managers other than Helm.")
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show what would change, as checked by the API server; change nothing."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
SERVICE = "lidloop-serving"


@deploy_app.callback(invoke_without_command=True)
def deploy_command(
    context: typer.Context,
    version: Annotated[
        str, typer.Option("--version", metavar="V|champion", help="Number of a version, or champion.")
    ] = "champion",
    canary: Annotated[
        int | None,
        typer.Option(
            "--canary",
            min=0,
            max=100,
            metavar="PERCENT",
            help="Run it as a canary beside the served model, with this share of the traffic.",
        ),
    ] = None,
    models: Annotated[
        str,
        typer.Option(
            "--models",
            envvar="LIDLOOP_MODELS",
            metavar="s3://…",
            help="Prefix of the bundles in the object store; each version has its own below it.",
        ),
    ] = "",
    registry: RegistryPlace = DEFAULT_REGISTRY,
    dry_run: DryRun = False,
    timeout: Timeout = 600.0,
    force: Force = False,
    as_json: AsJson = False,
    name: Name = SERVICE,
    namespace: Namespace = "",
    kubeconfig: Kubeconfig = "",
    kube_context: Context = "",
    create: Annotated[
        bool,
        typer.Option(
            "--create",
            help="Create a minimal InferenceService; prefer the Helm chart's.",
            rich_help_panel=_NEW,
        ),
    ] = False,
    keys_secret: Annotated[
        str, typer.Option(help="Secret whose entry keys holds the server's API keys.", rich_help_panel=_NEW)
    ] = "",
    image: Annotated[str, typer.Option(help="Image of the server.", rich_help_panel=_NEW)] = IMAGE,
    service_account: Annotated[
        str, typer.Option(help="ServiceAccount with the object store's Secret.", rich_help_panel=_NEW)
    ] = "default",
) -> None:
    """Serve the champion or another version with KServe, at once or as a canary.

    The bundle is pushed to MODELS/VERSION, unless it is there already, and becomes the storageUri of the
    InferenceService. The command waits until the new pods are ready; a change that does not become ready is
    undone. Deploying the served version again changes nothing.

    [bold]Examples[/bold]

    $ lidloop deploy --models s3://hospital/models/lidloop --registry https://mlflow.hospital.example

    A tenth of the traffic first, all of it later:

    $ lidloop deploy --version 8 --canary 10 --models s3://hospital/models/lidloop

    $ lidloop deploy promote
    """
    if context.invoked_subcommand is not None:
        return
    from components.kserve.publish import placement, publish
    from components.kserve.rollout import planned

    rollout = _rollout(name, namespace, kubeconfig, kube_context, timeout, force)
    new = {"keys": keys_secret, "image": image, "service_account": service_account}
    there = rollout.cluster.service(name) if create else rollout.item()
    model = placement(registry, version, models)
    # An impossible change fails here, before anything is pushed.
    if there is None:
        first = rollout.first(model, **new)
        if dry_run:
            for item in first:
                _show_diff({}, rollout.cluster.create(item, dry_run=True))
            return
    else:
        after = planned(there, model, percent=canary)[1]
        if dry_run:
            _preview(rollout, after)
            return
    pushed = publish(registry, model, models)
    rollout.waiting.report(f"{model}: {'pushed to' if pushed else 'is in the store already:'} {model.uri}")
    if there is None:
        outcome = rollout.create(model, **new)
    elif canary is None:
        outcome = rollout.deploy(model)
    else:
        outcome = rollout.canary(model, canary)
    _tell(outcome, as_json)


@deploy_app.command("promote")
def promote_command(
    dry_run: DryRun = False,
    timeout: Timeout = 600.0,
    force: Force = False,
    as_json: AsJson = False,
    name: Name = SERVICE,
    namespace: Namespace = "",
    kubeconfig: Kubeconfig = "",
    kube_context: Context = "",
) -> None:
    """Serve the canary's model to everyone."""
    from components.kserve.rollout import promoted
    from components.kserve.state import read

    rollout = _rollout(name, namespace, kubeconfig, kube_context, timeout, force)
    if dry_run:
        _preview(rollout, promoted(read(rollout.item())))
    else:
        _tell(rollout.promote(), as_json)


@deploy_app.command("rollback")
def rollback_command(
    dry_run: DryRun = False,
    timeout: Timeout = 600.0,
    force: Force = False,
    as_json: AsJson = False,
    name: Name = SERVICE,
    namespace: Namespace = "",
    kubeconfig: Kubeconfig = "",
    kube_context: Context = "",
) -> None:
    """Remove the canary; without one, serve the previous model again. The registry's champion stays."""
    from components.kserve.rollout import rolled_back
    from components.kserve.state import read

    rollout = _rollout(name, namespace, kubeconfig, kube_context, timeout, force)
    if dry_run:
        _preview(rollout, rolled_back(read(rollout.item())))
    else:
        _tell(rollout.rollback(), as_json)


@deploy_app.command("status")
def status_command(
    as_json: AsJson = False,
    name: Name = SERVICE,
    namespace: Namespace = "",
    kubeconfig: Kubeconfig = "",
    kube_context: Context = "",
) -> None:
    """Show the served model, the canary and earlier models, and if they are ready."""
    rollout = _rollout(name, namespace, kubeconfig, kube_context, 1.0, False)
    state, looks = rollout.status()
    ready = {which: {"ready": look.ready, "text": look.failed or look.text} for which, look in looks.items()}
    if as_json:
        typer.echo(json.dumps({**state.to_dict(), "progress": ready}, indent=1))
        return
    lines = [("serves", state.stable, "stable")]
    if state.canary is not None:
        lines.append((f"canary, {state.percent} %", state.canary, "canary"))
    for what, model, which in lines:
        look = ready[which]
        word = "ready" if look["ready"] else "not ready"
        say(f"{what}: {model} ({model.uri}), {word}: {look['text']}")
    if state.earlier:
        say(f"before: {', '.join(str(model) for model in reversed(state.earlier))}")


def _rollout(
    name: str, namespace: str, kubeconfig: str, context: str, timeout: float, force: bool
) -> Rollout:
    from components.kserve.api import Cluster
    from components.kserve.rollout import Rollout, Waiting

    cluster = Cluster.open(kubeconfig=kubeconfig, context=context, namespace=namespace)
    return Rollout(
        cluster, name, waiting=Waiting(seconds=timeout, report=partial(say, err=True)), force=force
    )


def _tell(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**outcome.state.to_dict(), "changed": outcome.changed}, indent=1))
    else:
        say(outcome.text)


def _preview(rollout: Rollout, after: Any) -> None:
    _show_diff(*rollout.preview(after))


def _show_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    lines = list(
        difflib.unified_diff(_lines(before), _lines(after), "now", "after the change", lineterm="", n=3)
    )
    typer.echo("\n".join(lines) if lines else "nothing would change")


def _lines(item: Mapping[str, Any]) -> list[str]:
    """Lines of an object's YAML, without the fields that the API server adds."""
    if not item:
        return []
    kept = ("name", "namespace", "labels", "annotations")
    metadata = {key: value for key, value in item["metadata"].items() if key in kept}
    shown = {**item, "metadata": metadata}
    shown.pop("status", None)
    return yaml.safe_dump(shown, sort_keys=True).splitlines()
