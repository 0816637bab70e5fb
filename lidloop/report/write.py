"""Read a run from its folders and write ``report.html`` and ``summary.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.ledgers import Ledger, read_ledgers
from lidloop.data.tables import read_faces, read_table
from lidloop.drift import watch
from lidloop.drift.agreement import agreements
from lidloop.errors import DatasetError
from lidloop.evaluation import evaluate as evaluation
from lidloop.files import sha256, write_atomic
from lidloop.labels import HUMAN, Floats, LabelSet, concat
from lidloop.report import data, ledger, page, pictures
from lidloop.report.continued import describe_start
from lidloop.report.drawn_groups import compare_drawn
from lidloop.report.drawn_pictures import drawn_pictures
from lidloop.report.review_mode import Review

REPORT: Final = "report.html"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Amount of detail on the page.

    Attributes:
        faces: show images of faces. A page without them holds no health data.
        sample: random grown labels in the grid.
        seed: of that sample.
        per_reason: near-misses by reason.
        worst: gold faces of largest error.
        strips: pictures through the versions.
    """

    faces: bool = True
    sample: int = 100
    seed: int = 0
    per_reason: int = 8
    worst: int = 12
    strips: int = 6


@dataclass(frozen=True, eq=False)
class Run:
    """A run as read from its folders."""

    dataset: Dataset
    labels: LabelSet
    ledgers: list[Ledger]
    summary: dict[str, Any]
    worst: list[dict[str, Any]] = field(default_factory=list)
    found: LabelSet | None = None
    gold: LabelSet | None = None


def write_report(
    dataset_dir: Path,
    labels_dir: Path,
    evaluation_dir: Path,
    out: Path,
    *,
    run: str,
    registry_uri: str | None = None,
    gold_dir: Path | None = None,
    continued: Mapping[str, Any] | None = None,
    predictions: Sequence[Path] = (),
    timings: Path | None = None,
    truth: Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    champion: Mapping[str, Any] | None = None,
    model_versions: Mapping[int, str] | None = None,
    stopped_early: str | None = None,
    options: Options | None = None,
    review: Review | None = None,
) -> dict[str, Any]:
    """Write ``out/report.html``, then ``out/summary.json``, each atomically.

    Args:
        dataset_dir: the dataset's folder.
        labels_dir: the newest label version; its ``ledger/`` holds the ledgers of all versions.
        evaluation_dir: the newest evaluation; its ``evaluation.json`` holds the history.
        out: folder to write to. Paths are recorded relative to it.
        run: name of the run, as in the registry.
        registry_uri: the registry's tracking URI; names the model versions and the champion.
        gold_dir: the gold yardstick; only a continued run's has something to say.
        continued: start of a continued run, if it was measured before; otherwise it is measured, with the
            registry's model.
        predictions: shard folders of the newest iteration's auto-label step, for the worst gold errors.
        timings: ``{"steps": [{"step", "iteration", "seconds"}]}``; the steps of an iteration are named
            train, autolabel, filter, evaluate, register.
        truth: ``truth.json`` of the generated faces that the dataset was converted from.
        arguments: the run's settings, ``seed`` among them.
        champion: ``{"iteration", "model_version"}``; without it the registry is asked for this run's
            champion, and without a registry the gold gate is applied to the iterations in order.
        model_versions: registered version by iteration, if no registry is given.
        stopped_early: why the loop ended before its last iteration.
        options: amount of detail on the page.
        review: faces of the review mode; they are on the page only if they are given here.

    Returns:
        The content of ``summary.json``.

    Raises:
        DatasetError: for a folder or file that is missing, damaged or of another dataset.
        LidloopError: if matplotlib or jinja2 is not installed.
    """
    given = {"dataset": dataset_dir, "labels": labels_dir, "evaluation": evaluation_dir, "timings": timings}
    paths: dict[str, Any] = {k: None if v is None else _relative(v, out) for k, v in given.items()}
    paths["gold"] = None if gold_dir is None else _relative(gold_dir, out)
    paths["truth"] = None if truth is None else _relative(truth, out)
    paths["predictions"] = [_relative(p, out) for p in predictions]
    read = gather(
        dataset_dir, labels_dir, evaluation_dir, run=run, registry_uri=registry_uri, gold_dir=gold_dir,
        continued=continued, predictions=predictions, timings=timings, truth=truth, arguments=arguments,
        champion=champion, model_versions=model_versions, stopped_early=stopped_early,
    )  # fmt: skip
    read.summary["paths"] = paths
    chosen = options or Options()
    shown = _pictures(read, chosen)
    write_atomic(out / REPORT, page.render(read.summary, shown, faces=chosen.faces, review=review))
    text = json.dumps(read.summary, indent=1, allow_nan=False, ensure_ascii=False)
    write_atomic(out / data.SUMMARY, text + "\n")
    return read.summary


def regenerate(run_dir: Path, *, options: Options | None = None, review: Review | None = None) -> Path:
    """Write the report of a run folder again, from the folders that its ``summary.json`` names.

    Args:
        run_dir: the run's folder.
        options: amount of detail on the page.
        review: faces of the review mode; None for a page without one.

    Returns:
        The path of ``report.html``.

    Raises:
        DatasetError: if there is no summary, or a folder named in it is missing.
    """
    summary = data.read_summary(run_dir)
    paths = data.run_paths(run_dir, summary)
    write_report(
        paths.dataset,
        paths.labels,
        paths.evaluation,
        run_dir,
        run=str(summary.get("run", run_dir.name)),
        gold_dir=paths.gold if paths.gold.is_dir() else None,
        continued=summary.get("continued"),
        predictions=paths.predictions,
        timings=paths.timings,
        truth=paths.truth,
        arguments=summary.get("settings"),
        champion=summary.get("champion"),
        model_versions={int(k): str(v) for k, v in (summary.get("model_versions") or {}).items()},
        stopped_early=summary.get("stopped_early") or None,
        options=options,
        review=review,
    )
    return run_dir / REPORT


def gather(
    dataset_dir: Path,
    labels_dir: Path,
    evaluation_dir: Path,
    *,
    run: str,
    registry_uri: str | None,
    gold_dir: Path | None,
    continued: Mapping[str, Any] | None,
    predictions: Sequence[Path],
    timings: Path | None,
    truth: Path | None,
    arguments: Mapping[str, Any] | None,
    champion: Mapping[str, Any] | None,
    model_versions: Mapping[int, str] | None,
    stopped_early: str | None,
) -> Run:
    """Read the folders of a run and compute its summary without ``paths``; arguments as ``write_report``."""
    dataset = Dataset.open(dataset_dir)
    version = LabelVersion.open(labels_dir)
    labels = version.labels(dataset)
    history = evaluation.read_evaluation(evaluation_dir)
    entries = history["iterations"]
    if not entries:
        raise DatasetError(f"{evaluation_dir} holds no evaluated iteration; nothing to report")
    ledgers = read_ledgers(version)[data.first_version(entries) :]
    steps = data.read_timings(timings) if timings is not None else []
    settings = dict(arguments or {})
    sources = {r.id: r.source for r in dataset.records}
    versions = [ledger.count_labels(entry, sources) for entry in ledgers]
    images = {split: len(dataset.split(split)) for split in ("train", "val")}
    numbers, named = _registered(registry_uri, run)
    numbers = {**(model_versions or {}), **numbers}
    if champion is None:
        champion = named or {"iteration": data.gate_champion(entries), "model_version": None, "run": run}
    rows = data.iteration_rows(entries, versions, images, steps, numbers)
    hidden = None if truth is None else ledger.compare_with_truth(labels, read_hidden(truth, dataset))
    found = concat([read_faces(p / "faces.parquet")[0] for p in predictions]) if predictions else None
    worst = _worst(evaluation_dir)
    if continued is None and gold_dir is not None:
        continued = describe_start(dataset, gold_dir, registry_uri, run)
    summary: dict[str, Any] = {
        "format": data.FORMAT,
        "run": run,
        "seed": settings.get("seed", dataset.info.get("seed")),
        "settings": settings,
        "sources": dataset.info.get("sources", sorted(set(sources.values()))),
        "dataset": {"digest": dataset.digest, "images": {**images, "total": sum(images.values())}},
        "yardsticks": {"sigma": [e["sigma"] for e in entries], **(entries[-1].get("settings") or {})},
        "versions": versions,
        "growth": data.growth(versions),
        "iterations": rows,
        "champion": dict(champion),
        "model_versions": {str(k): v for k, v in numbers.items()},
        "stopped_early": stopped_early or False,
        "continued": None if continued is None else dict(continued),
        "hidden_truth": hidden,
        "distributions": ledger.distributions(ledgers),
        "drift": ledger.drift(labels, {r.id: (r.width, r.height) for r in dataset.records}),
        "guards": _guards(dataset, labels, found, history),
        "groups": {
            "gold": entries[-1].get("groups"),
            "drawn": None if truth is None else compare_drawn(worst, truth, dataset),
        },
        "timings": steps,
        "evaluation_sha256": sha256(evaluation_dir / evaluation.FILE),
        "ledger_sha256": sha256(labels_dir / "ledger" / f"v{version.version}.parquet"),
        "paths": {},
    }
    best = next((r for r in rows if r["iteration"] == summary["champion"]["iteration"]), None)
    summary["comparison"] = (
        data.compare(rows[0], best) if best is not None else {"better": [], "worse": [], "same": []}
    )
    summary["verdict"] = data.verdict(summary)
    gold = None if gold_dir is None else LabelVersion.open(gold_dir).labels(dataset, "val")
    return Run(dataset, labels, ledgers, summary, worst, found, gold)


def _guards(
    dataset: Dataset, made: LabelSet, found: LabelSet | None, history: Mapping[str, Any]
) -> dict[str, Any]:
    """Results of the guards for the newest iteration (``lidloop.drift.guards``), by name.

    Its training labels are those of earlier origins, except the ones that it replaced by its own.
    """
    newest = history["iterations"][-1]
    before = made.select(made.origin < int(newest.get("label_version", newest["iteration"])))
    answers = watch.judge(
        made=made,
        agreement=[] if found is None else agreements(before, found),
        evaluation=history,
        records=dataset.records,
    )
    return {answer.name: answer.to_json() for answer in answers}


def read_hidden(path: Path, dataset: Dataset) -> dict[str, Floats]:
    """Boxes in pixels of the drawn faces whose labels were hidden, by picture.

    Images are matched by their SHA-256. A hidden face whose image is not in the dataset counts too, as one
    that was not found.

    Args:
        path: ``truth.json`` of a folder that ``write_faces_folder`` wrote, its pictures beside it.
        dataset: the dataset that was converted from that folder.

    Raises:
        DatasetError: if none of its pictures is in the dataset.
        SourceError: for a file that is not a valid ``truth.json``.
    """
    hidden: dict[str, Floats] = {}
    found = 0
    for image, name in drawn_pictures(path.parent, dataset):
        boxes = [f.face().box for f, h in zip(image.faces, image.hidden, strict=True) if h]
        found += name is not None
        if boxes:
            hidden[name or f"{path.parent}:{image.name}"] = np.array(boxes).reshape(-1, 4)
    if not found:
        raise DatasetError(f"{path} does not belong to {dataset.root}: they have no picture in common")
    return hidden


def _worst(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of the table of gold faces by descending NME, missed faces last."""
    path = folder / evaluation.POINTS_FILE
    if not path.exists():
        return []
    rows: list[dict[str, Any]] = read_table(path).to_pylist()
    return sorted(
        (r for r in rows if r["nme"] is not None), key=lambda r: (-r["nme"], r["image"], r["face"])
    ) + sorted((r for r in rows if not r["matched"]), key=lambda r: (r["image"], r["face"]))


def _registered(uri: str | None, run: str) -> tuple[dict[int, str], dict[str, Any] | None]:
    """Return model versions of a run by iteration, and the champion, from the registry."""
    if uri is None:
        return {}, None
    from lidloop.registry.registry import Registry

    registry = Registry(uri, create=False)
    mine = {v.iteration: str(v.version) for v in registry.versions() if v.run == run}
    first = registry.champion()
    if first is None:
        return mine, None
    iteration = first.iteration if first.run == run else None
    return mine, {"iteration": iteration, "model_version": str(first.version), "run": first.run}


def _pictures(read: Run, options: Options) -> page.Pictures:
    if not options.faces:
        return page.Pictures([], [], {}, [])
    load = pictures.loader(read.dataset)
    gold_ids = {row["image"] for row in read.worst}
    human = read.labels.select(read.labels.origin == HUMAN)
    gold = human if read.gold is None else read.gold
    missed = [r for r in read.worst if not r["matched"]][: options.worst // 3]
    far = [r for r in read.worst if r["matched"]][: options.worst - len(missed)]
    return page.Pictures(
        strips=pictures.strips(read.labels, read.ledgers, load, count=options.strips),
        grown=pictures.grown_tiles(read.labels, load, count=options.sample, seed=options.seed),
        dropped=pictures.dropped_tiles(read.labels, read.ledgers, load, per_reason=options.per_reason),
        worst=pictures.worst_tiles(far + missed, gold, read.found, load) if gold_ids else [],
    )


def _relative(path: Path, start: Path) -> str:
    return Path(os.path.relpath(path.resolve(), start.resolve())).as_posix()
