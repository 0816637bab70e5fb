"""``lidloop evaluate``: figures of a model on annotated images."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from lidloop.cli.console import add_row, console, new_table, progress, say
from lidloop.cli.options import AsJson, Model, RegistryPlace, Sources, model_folder
from lidloop.errors import doing
from lidloop.starter.choose import DEFAULT_REGISTRY


def evaluate(
    source: Sources,
    model: Model = "champion",
    registry: RegistryPlace = DEFAULT_REGISTRY,
    sigma: Annotated[float | None, typer.Option(help="OKS sigma of pose AP; default 1/51.")] = None,
    groups: Annotated[
        bool, typer.Option(help="Compare groups of faces; a group that falls behind is exit status 1.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Measure a model on annotated images: precision, recall, AP, NME and lid-opening error.

    All images of the sources are used. For a model that was trained on some of them, give others.

    The faces are also compared by skin tone, size and pose. If the model is worse on a skin tone than on all
    other faces by more than chance explains, the command says so and its exit status is 1.

    Example: lidloop evaluate --model champion --source ibug:300w/ibug
    """
    from lidloop.autolabel.predict import VAL_FLOOR, predict
    from lidloop.data.convert import convert as convert_sources
    from lidloop.data.sources import require_labels
    from lidloop.detection.detector import load_detector
    from lidloop.evaluation.evaluate import DEFAULT_SIGMA
    from lidloop.evaluation.evaluate import evaluate as compute
    from lidloop.evaluation.faces_by_group import compare_groups

    require_labels(source)
    sigma = DEFAULT_SIGMA if sigma is None else sigma
    with (
        model_folder(model, registry) as folder,
        doing("evaluate the model"),
        tempfile.TemporaryDirectory() as temporary,
    ):
        detector = load_detector(folder)
        place = Path(temporary)
        with progress("converted") as update:
            dataset, labels = convert_sources(
                source, place / "dataset", place / "labels", split=0.0, progress=update
            )
        with progress("predicted") as update:
            found, failures = predict(dataset, detector, dataset.records, floor=VAL_FLOOR, progress=update)
        sources = {record.id: record.source for record in dataset.records}
        report = json.loads((dataset.root / "convert-report.json").read_text(encoding="utf-8"))
        rejects = [
            {"source": row["source"], **reject} for row in report["sources"] for reject in row["rejects"]
        ]
        truth = labels.labels(dataset)
        evaluation = compute(found, truth, sources=sources, sigma=sigma)
        result = evaluation.to_dict()
        if groups:
            with progress("compared") as update:
                result["groups"] = compare_groups(dataset, truth, evaluation.errors, progress=update)
    behind = [gap["text"] for gap in result.get("groups", {}).get("gaps", []) if gap["is_failure"]]
    if as_json:
        unused = {"rejects": rejects, "unreadable": failures}
        typer.echo(json.dumps({"model": detector.digest, **unused, **result}, indent=1))
        raise typer.Exit(1 if behind else 0)
    if rejects or failures:
        say(
            f"not counted: {len(rejects)} annotations that cannot be used, {len(failures)} images that "
            "cannot be read; --json names them",
            err=True,
        )
    _print_metrics(result)
    if groups:
        _print_groups(result["groups"])
    for text in behind:
        say(f"falls behind: {text}", err=True)
    if behind:
        say("add pictures and labels of such faces, or see the figures alone with --no-groups", err=True)
        raise typer.Exit(1)


def _print_metrics(result: dict[str, Any]) -> None:
    columns = {"all": result["overall"], **result["by_source"]}
    table = new_table("metric", *columns)
    for name in result["overall"]:
        add_row(table, name, *("–" if m[name] is None else f"{m[name]:.4g}" for m in columns.values()))
    console().print(table)


def _print_groups(result: dict[str, Any]) -> None:
    from lidloop.evaluation.groups import METRICS
    from lidloop.evaluation.intervals import interval_text

    table = new_table("group", "faces", *(metric.label for metric in METRICS))
    for line in result["lines"]:
        figures = (interval_text(line["figures"].get(metric.key), unit=" %") for metric in METRICS)
        add_row(table, f"{line['dimension']}: {line['group']}", str(line["faces"]), *figures)
    console().print(table)
    for gap in result["gaps"]:
        if not gap["is_failure"]:
            say(f"expected, as the picture shows less of such a face: {gap['text']}")
    if result["too_small"]:
        say(f"too few faces to say anything: {'; '.join(result['too_small'])}")
