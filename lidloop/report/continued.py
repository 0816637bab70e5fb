"""Start of a continued run for its report: what it went on from, and that model's metrics on its gold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.gold import gold_before
from lidloop.report.data import metrics_of


def describe_start(
    dataset: Dataset, gold_dir: Path, registry_uri: str | None, run: str
) -> dict[str, Any] | None:
    """Describe the start of a run that went on from reviewed labels; None for a run from sources.

    Args:
        dataset: the pictures.
        gold_dir: the run's gold yardstick.
        registry_uri: folder or URI of the registry, which holds the model that the run started from.
        run: name of the run.

    Returns:
        ``run`` and ``labels``: name of the earlier run, and number of the reviewed version. ``asked``: it was
        decided to extend gold. ``extended``: that made a difference. ``faces``: gold faces, ``gold`` and
        ``gold_before``. ``champion``: version, run and iteration of the model that the run started from, and
        its ``metrics`` on ``gold`` and ``gold_before``; None if it started from other weights.

    Raises:
        RegistryError, ModelError, DatasetError: if that model cannot be read or measured.
    """
    gold = LabelVersion.open(gold_dir)
    told = gold.info.get("continued")
    if told is None:
        return None
    before = gold_before(gold)
    yardsticks = {"gold": gold} | ({"gold_before": before} if before is not None else {})
    return {
        **told,
        "asked": bool(gold.info.get("asked")),
        "extended": before is not None,
        "faces": {name: labels.info["total"] for name, labels in yardsticks.items()},
        "champion": _measured(dataset, yardsticks, registry_uri, run),
    }


def _measured(
    dataset: Dataset, yardsticks: dict[str, LabelVersion], registry_uri: str | None, run: str
) -> dict[str, Any] | None:
    if registry_uri is None:
        return None
    from lidloop.registry.registry import Registry
    from lidloop.registry.steps import measure_version

    registry = Registry(registry_uri, create=False)
    first = registry.find(run, 0)
    if first is None or first.parent is None:
        return None
    start = registry.get(first.parent)
    measured = measure_version(registry, start.version, dataset, list(yardsticks.values()))
    return {
        "version": start.version,
        "run": start.run,
        "iteration": start.iteration,
        "metrics": {name: metrics_of(found) for name, found in zip(yardsticks, measured, strict=True)},
    }
