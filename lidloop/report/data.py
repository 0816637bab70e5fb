"""Content of ``summary.json``: everything that the report shows, as one JSON-ready dictionary."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from lidloop.errors import DatasetError, doing
from lidloop.evaluation import promotion_gate as gate

FORMAT: Final = 1
SUMMARY: Final = "summary.json"
RUN: Final = "run.json"
"""First file that the local runner writes into a run's folder."""
STEPS: Final = ("train", "autolabel", "filter", "evaluate", "register")
YARDSTICKS: Final = ("gold", "paper")
GOLD_BEFORE: Final = "gold_before"
"""Yardstick of the run before, in a run that extended gold."""


class Metric(NamedTuple):
    """Column of Table 2: its key in ``summary.json`` and in ``evaluation.json``, its heading, its direction,
    and its format: ``%`` (a fraction as percent) or a unit."""

    key: str
    source: str
    label: str
    more_is_better: bool
    unit: str
    digits: int


METRICS: Final = (
    Metric("precision", "precision", "Precision", True, "%", 1),
    Metric("recall", "recall", "Recall", True, "%", 1),
    Metric("ap50", "box_ap50", "Box AP50", True, "%", 1),
    Metric("ap50_95", "box_ap50_95", "Box AP50:95", True, "%", 1),
    Metric("pose_ap50", "pose_ap50", "Pose AP50", True, "%", 1),
    Metric("pose_ap50_95", "pose_ap50_95", "Pose AP50:95", True, "%", 1),
    Metric("mse_px2", "mse_px2", "MSE", False, "px²", 1),
    Metric("nme", "nme_mean", "NME mean", False, "%", 2),
    Metric("nme_median", "nme_median", "NME median", False, "%", 2),
    Metric("nme_auc8", "nme_auc8", "NME AUC 8 %", True, "%", 1),
    Metric("failure_rate", "nme_failure8", "NME > 8 %", False, "%", 1),
    Metric("lid_error", "lid_error_mean", "Lid error", False, "%", 2),
)
_MAIN_METRICS: Final = ("recall", "pose_ap50_95", "nme", "failure_rate", "lid_error")
_NEED_COMPLETE_LABELS: Final = {"precision", "ap50", "ap50_95", "pose_ap50", "pose_ap50_95"}
BY_KEY: Final = {metric.key: metric for metric in METRICS}


def shown(metric: Metric, value: float | None) -> str:
    """Format a value for the tables; a dash if it is undefined."""
    if value is None:
        return "–"
    return f"{value * (100 if metric.unit == '%' else 1):.{metric.digits}f}"


def metrics_of(entry: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the metrics of one yardstick under the keys of ``summary.json``."""
    return {m.key: entry.get(m.source) for m in METRICS}


class RunPaths(NamedTuple):
    """Input folders and files of a report; None or empty for those that the run does not have."""

    dataset: Path
    labels: Path
    evaluation: Path
    timings: Path | None
    truth: Path | None
    predictions: list[Path]
    gold: Path


def read_summary(run_dir: Path) -> dict[str, Any]:
    """Read ``summary.json`` of a run folder.

    Raises:
        DatasetError: if the folder is missing or holds no run, the run has not finished, or the file is
            damaged.
    """
    if not run_dir.is_dir():
        raise DatasetError(f"{run_dir} is not a folder; give a run folder, the --out of `lidloop run`")
    if not (run_dir / SUMMARY).exists():
        if (run_dir / RUN).exists():
            raise DatasetError(
                f"the run in {run_dir} has not finished, so it has no {SUMMARY} yet; the same `lidloop run` "
                "command continues it"
            )
        raise DatasetError(
            f"{run_dir} holds no run: it has neither {RUN} nor {SUMMARY}; give a run folder, "
            "the --out of `lidloop run`"
        )
    return read_json(run_dir / SUMMARY, "summary")


def run_paths(run_dir: Path, summary: Mapping[str, Any]) -> RunPaths:
    """Return the folders and files named in a run's summary, joined to ``run_dir``.

    Raises:
        DatasetError: for a summary that does not name its dataset, labels and evaluation.
    """
    paths = summary.get("paths")
    needed = ("dataset", "labels", "evaluation")
    if not isinstance(paths, dict) or not all(isinstance(paths.get(k), str) and paths[k] for k in needed):
        raise DatasetError(f'{run_dir / SUMMARY} does not name its folders under "paths"; run the loop again')
    return RunPaths(
        dataset=run_dir / paths["dataset"],
        labels=run_dir / paths["labels"],
        evaluation=run_dir / paths["evaluation"],
        timings=run_dir / paths["timings"] if paths.get("timings") else None,
        truth=run_dir / paths["truth"] if paths.get("truth") else None,
        predictions=[run_dir / p for p in paths.get("predictions") or []],
        gold=run_dir / gold_folder(paths),
    )


def gold_folder(paths: Mapping[str, Any]) -> str:
    """Return the gold yardstick among a summary's paths: if none is named, version 0 beside the dataset."""
    beside = Path(paths["dataset"]).with_name("labels").as_posix()
    return str(paths.get("gold") or beside)


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DatasetError: if it is missing, damaged or not an object.
    """
    try:
        with doing(f"read the {what} {path}", DatasetError):
            content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"the {what} {path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise DatasetError(f"the {what} {path} is not a JSON object")
    return content


def read_timings(path: Path) -> list[dict[str, Any]]:
    """Read ``{"steps": [{"step": name, "iteration": k or null, "seconds": s}, …]}``.

    Raises:
        DatasetError: for another shape.
    """
    steps = read_json(path, "timings").get("steps")
    try:
        return [
            {
                "step": str(s["step"]),
                "iteration": None if s.get("iteration") is None else int(s["iteration"]),
                "seconds": float(s["seconds"]),
            }
            for s in steps or []
        ]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise DatasetError(
            f'{path}: expected {{"steps": [{{"step", "iteration", "seconds"}}]}}, got {error!r}'
        ) from error


def seconds_of(steps: Sequence[Mapping[str, Any]], iteration: int) -> dict[str, float | None]:
    """Return the seconds of an iteration by step and in total; None for a step without a timing."""
    mine = [s for s in steps if s["iteration"] == iteration]
    by_step: dict[str, float | None] = dict.fromkeys(STEPS)
    for step in mine:
        by_step[step["step"]] = (by_step.get(step["step"]) or 0.0) + step["seconds"]
    return {**by_step, "total": math.fsum(s["seconds"] for s in mine) if mine else None}


def gate_champion(entries: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the champion after applying the gold gate to the iterations in order; None if none passes."""
    best: Mapping[str, Any] | None = None
    champions: list[Mapping[str, Any]] = []
    for entry in entries:
        gold = entry["gold"]["overall"]
        if gate.decide(gold, champions[-1] if champions else None, earlier=champions).promote:
            best = entry
            champions.append(gold)
    return None if best is None else int(best["iteration"])


def iteration_rows(
    entries: Sequence[Mapping[str, Any]],
    versions: Sequence[Mapping[str, Any]],
    images: Mapping[str, int],
    steps: Sequence[Mapping[str, Any]],
    model_versions: Mapping[int, str],
) -> list[dict[str, Any]]:
    """Return one row per iteration: the labels of its training, and its metrics.

    ``versions`` begins with the version that iteration 0 trained on; ``gold_before`` is among the metrics if
    the run extended gold.

    ``labels.added`` is the number of labels that its model added, the difference to the next version; None if
    there is no such version.
    """
    rows = []
    for entry in entries:
        k = int(entry["iteration"])
        labels: dict[str, Any] = {"train": None, "val": None, "total": None, "grown": None, "added": None}
        if k < len(versions):
            labels |= {name: versions[k][name] for name in ("train", "val", "total", "grown")}
        if k + 1 < len(versions):
            labels["added"] = versions[k + 1]["total"] - versions[k]["total"]
        rows.append(
            {
                "iteration": k,
                "images": dict(images),
                "labels": labels,
                "metrics": {
                    y: metrics_of(entry[y]["overall"]) for y in (*YARDSTICKS, GOLD_BEFORE) if y in entry
                },
                "faces": {
                    y: {n: entry[y]["overall"].get(n) for n in ("faces", "predictions", "matched")}
                    for y in YARDSTICKS
                },
                "by_source": {
                    y: {
                        source: {**metrics_of(m), "faces": m.get("faces")}
                        for source, m in entry[y].get("by_source", {}).items()
                    }
                    for y in YARDSTICKS
                },
                "model": entry.get("model"),
                "model_version": model_versions.get(k),
                "seconds": seconds_of(steps, k),
            }
        )
    return rows


def compare(first: Mapping[str, Any], champion: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Compare gold metrics of champion and first iteration: ``better``, ``worse`` and ``same``.

    Values that the tables print alike count as the same.
    """
    result: dict[str, list[dict[str, Any]]] = {"better": [], "worse": [], "same": []}
    for metric in METRICS:
        old, new = first["metrics"]["gold"][metric.key], champion["metrics"]["gold"][metric.key]
        if old is None or new is None:
            continue
        if shown(metric, old) == shown(metric, new):
            verdict = "same"
        else:
            verdict = "better" if (new > old) == metric.more_is_better else "worse"
        result[verdict].append({"metric": metric.key, "from": old, "to": new})
    return result


def first_version(entries: Sequence[Mapping[str, Any]]) -> int:
    """Return the number of the label version that the first iteration trained on; 0 in a run from sources."""
    return int(entries[0].get("label_version", entries[0]["iteration"]))


def growth(versions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the label counts of the first and last version, and the growth as a fraction of the first."""
    first, last = versions[0]["total"], versions[-1]["total"]
    return {"from": first, "to": last, "share": (last - first) / first if first else None}


def verdict(summary: Mapping[str, Any]) -> list[str]:
    """Summarise the run in a few sentences."""
    grown = summary["growth"]
    share = f" ({grown['share']:+.1%})".replace("%", " %") if grown["share"] is not None else ""
    rows = summary["iterations"]
    n = f"{len(rows)} iteration" + ("" if len(rows) == 1 else "s")
    if grown["to"] != grown["from"]:
        sentences = [f"In {n} the labels grew from {grown['from']:,} to {grown['to']:,}{share}."]
    else:
        sentences = [f"In {n} the labels did not grow: {grown['from']:,} before and after."]
    if summary.get("continued"):
        sentences.append(_about_start(summary["continued"]))
    if summary["stopped_early"]:
        sentences.append(f"The loop stopped early: {summary['stopped_early']}.")
    champion = next((r for r in rows if r["iteration"] == summary["champion"]["iteration"]), None)
    if champion is None and summary["champion"].get("run", summary["run"]) != summary["run"]:
        sentences.append(
            f"The champion stays version {summary['champion']['model_version']} of the run "
            f"{summary['champion']['run']}: no model of this run was better."
        )
    elif champion is None:
        sentences.append("No model passed the gold gate: there is no champion.")
    else:
        sentences += _about_champion(champion, rows[0], summary["comparison"])
    sentences += [
        f"Gold has no face of the source {source}, where {labels:,} labels grew: gold figures, and the "
        "choice of the champion by them, say nothing about its pictures. Look at its labels: "
        "lidloop review queue RUN."
        for source, labels in sources_without_gold(summary).items()
    ]
    truth = summary["hidden_truth"]
    if truth is not None and truth["hidden"]:
        text = (
            f"Of {truth['hidden']:,} hidden faces {truth['recovered']:,} "
            f"({_percent(truth['recovered'] / truth['hidden'], 1)}) were recovered"
        )
        if truth["grown"]:
            share_right = _percent(truth["grown_correct"] / truth["grown"], 1)
            text += (
                f"; {truth['grown_correct']:,} of {truth['grown']:,} grown labels ({share_right}) are right"
            )
        sentences.append(text + " (IoU ≥ 0.5).")
    return sentences


def sources_without_gold(summary: Mapping[str, Any]) -> dict[str, int]:
    """Return grown labels by source, for the sources of whose faces none is gold.

    Pictures that were given without labels are all for training, so that a model's errors on them are not
    measured.
    """
    gold = summary["iterations"][-1]["by_source"].get("gold", {})
    grown = {name: counts["grown"] for name, counts in summary["versions"][-1]["by_source"].items()}
    return {name: n for name, n in sorted(grown.items()) if n and not gold.get(name, {}).get("faces")}


def _about_start(continued: Mapping[str, Any]) -> str:
    text = f"The run went on from label version {continued['labels']} of the run {continued['run']}"
    if continued["champion"] is not None:
        text += f" and from the weights of version {continued['champion']['version']}"
    if continued["extended"]:
        faces = continued["faces"]
        text += f"; gold changed from {faces['gold_before']:,} to {faces['gold']:,} faces"
    return text + "."


def _about_champion(
    champion: Mapping[str, Any], first: Mapping[str, Any], comparison: Mapping[str, Any]
) -> list[str]:
    gold = champion["metrics"]["gold"]
    figures = (
        f"gold NME {_value('nme', gold['nme'])}, lid-opening error {_value('lid_error', gold['lid_error'])}"
    )
    sentences = [f"The champion is iteration {champion['iteration']}: {figures}."]
    if champion["iteration"] == first["iteration"]:
        return [*sentences, "No later model passed the gold gate: there is no gain over the first iteration."]
    for which in ("better", "worse"):
        changes = changes_of(comparison[which], BY_KEY)
        # The list of worse figures is never shortened.
        if which == "better" and len(changes) > 5:
            changes = [
                *changes_of(comparison[which], _MAIN_METRICS),
                f"{len(comparison[which])} figures in all",
            ]
        if changes:
            sentences.append(
                f"{which.capitalize()} than iteration {first['iteration']} on gold: {', '.join(changes)}."
            )
        else:
            sentences.append(f"On gold no figure is {which} than iteration {first['iteration']}'s.")
    if _NEED_COMPLETE_LABELS & {c["metric"] for c in comparison["worse"]}:
        sentences.append(
            "Gold precision and AP count a correct detection of an unlabelled face as a false positive; "
            "check the grown labels before you read a lower value as a loss."
        )
    return sentences


def changes_of(changes: Sequence[Mapping[str, Any]], keys: Collection[str]) -> list[str]:
    """Format the changes of some metrics, as ``Recall 50.0 → 40.0 %``."""
    return [
        f"{m.label} {shown(m, c['from'])} → {shown(m, c['to'])} {m.unit}"
        for c in changes
        if c["metric"] in keys and (m := BY_KEY[c["metric"]])
    ]


def _value(key: str, value: float | None) -> str:
    metric = BY_KEY[key]
    return "undefined" if value is None else f"{shown(metric, value)} {metric.unit}"


def _percent(value: float, digits: int) -> str:
    return f"{100 * value:.{digits}f} %"
