"""Groups of drawn faces by what their drawing knows: glasses, occluder, ptosis, pose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from lidloop.data.dataset import Dataset
from lidloop.evaluation.groups import compare
from lidloop.evaluation.metrics import mean_of_known
from lidloop.labels import Floats
from lidloop.report.drawn_pictures import drawn_pictures
from lidloop.synthetic.truth import FaceTruth

_TURNED: Final = (("frontal", 10.0), ("turned a little", 22.0), ("turned", 180.0))
"""Groups of the drawn yaw, each with its largest angle in degrees."""


def compare_drawn(rows: Sequence[Mapping[str, Any]], truth: Path, dataset: Dataset) -> dict[str, Any] | None:
    """Compare the drawn gold faces by the facts of their drawing.

    Args:
        rows: ``points.parquet`` of the newest evaluation.
        truth: ``truth.json`` of a folder that ``write_faces_folder`` wrote, its pictures beside it.
        dataset: the dataset that was converted from that folder.

    Returns:
        ``Comparison.to_json``; None if no gold face is known to be drawn. Pictures with another number of
        gold faces than the drawing has labels are left out, since their faces cannot be told apart.
    """
    by_image: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_image.setdefault(row["image"], []).append(row)
    pairs: list[tuple[FaceTruth, Mapping[str, Any]]] = []
    for image, name in drawn_pictures(truth.parent, dataset):
        gold = sorted(by_image.get(name or "", []), key=lambda row: row["face"])
        faces = [face for face, hidden in zip(image.faces, image.hidden, strict=True) if not hidden]
        if len(gold) == len(faces):
            pairs += zip(faces, gold, strict=True)
    if not pairs:
        return None
    facts = [facts_of(face) for face, _ in pairs]
    groups = {name: [fact[name] for fact in facts] for name in facts[0]}
    return compare(groups, _values([row for _, row in pairs])).to_json()


def facts_of(face: FaceTruth) -> dict[str, str]:
    """Groups of a drawn face by dimension."""
    degrees = list(face.ptosis.values())
    lowered = sum(degree > 0 for degree in degrees)
    severities = [eye.severity for eye in face.eyes.values()]
    return {
        "glasses": face.glasses,
        "occluder": face.occluder,
        "ptosis": ("none", "one side", "both sides")[lowered],
        "severity": next((s for s in ("severe", "moderate", "mild") if s in severities), "none"),
        "pose": next(name for name, most in _TURNED if abs(face.pose.yaw) <= most),
    }


def _values(rows: Sequence[Mapping[str, Any]]) -> dict[str, Floats]:
    def column(name: str) -> Floats:
        return np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=np.float64)

    lids = np.stack([column("lid_error_left"), column("lid_error_right")])
    return {"recall": column("matched"), "nme": column("nme"), "lid_error": mean_of_known(lids)}
