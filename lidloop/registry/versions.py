"""Model versions as read from MLflow's tags, and the line of champions from the history. No I/O."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from lidloop.errors import RegistryError


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version in the registry.

    Attributes:
        version: its number, as MLflow writes it.
        run, iteration: what made it.
        parent: the version it was fine-tuned from.
        champion: True if the alias points to it.
        dataset: digest of the dataset.
        label_version, labels: what it was trained on, and how many labels that holds by split and origin.
        gold: metrics over all gold faces.
        gold_digest: of those faces' labels; empty for versions that were registered without it.
        created: ISO 8601, when the bundle was sealed.
        model: SHA-256 of ``model.onnx``. bundle: SHA-256 of ``bundle.json``.
        gate: last decision of the promotion gate (``promote``, ``reasons``, ``against``), or None.
        mlflow_run: id of the MLflow run that holds the bundle.
    """

    version: str
    run: str
    iteration: int
    parent: str | None
    champion: bool
    dataset: str
    label_version: int
    labels: dict[str, dict[str, int]]
    gold: dict[str, Any]
    created: str
    model: str
    bundle: str
    mlflow_run: str
    gate: dict[str, Any] | None = field(default=None)
    gold_digest: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ChampionChange:
    """One entry of the champion's history. ``action`` is ``promote`` or ``rollback``."""

    action: str
    version: str
    previous: str | None
    reason: str
    at: str


def line_of_champions(history: list[ChampionChange]) -> list[str]:
    """Champions that led to the present one, oldest first; versions that were rolled back are left out.

    The history is oldest first. A champion set by other means than lidloop shows as the ``previous`` of the
    change after it, and is taken into the line.
    """
    line: list[str] = []
    for change in history:
        if change.previous is not None and change.previous not in line:
            line.append(change.previous)
        if change.previous is not None:
            line = line[: len(line) - line[::-1].index(change.previous)]
        if change.action == "rollback" and change.version in line:
            line = line[: len(line) - line[::-1].index(change.version)]
        else:
            line.append(change.version)
    return line


def parse_version(entry: Any, champion: str | None) -> ModelVersion:
    """Read MLflow's entry of a version; ``champion`` is the number of the champion.

    Raises:
        RegistryError: where its tags are not what lidloop wrote.
    """
    tags = entry.tags
    try:
        return ModelVersion(
            version=str(entry.version),
            run=tags["lidloop.run"],
            iteration=int(tags["lidloop.iteration"]),
            parent=tags["lidloop.parent"] or None,
            champion=str(entry.version) == champion,
            dataset=tags["lidloop.dataset"],
            label_version=int(tags["lidloop.label_version"]),
            labels=json.loads(tags["lidloop.labels"]),
            gold=json.loads(tags["lidloop.gold"]),
            created=tags["lidloop.created"],
            model=tags["lidloop.model"],
            bundle=tags["lidloop.bundle"],
            mlflow_run=str(entry.run_id),
            gate=json.loads(tags["lidloop.gate"]) if "lidloop.gate" in tags else None,
            gold_digest=tags.get("lidloop.gold_digest", ""),
        )
    except (KeyError, ValueError) as error:
        raise RegistryError(
            f"version {entry.version} has damaged tags ({error}); repair or delete it with MLflow's tools"
        ) from error
