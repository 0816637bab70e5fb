"""Grown labels and models against human labels that the run never saw, and signs that need none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from scipy.stats import spearmanr

from lidloop.drift.agreement import agreement, same_faces
from lidloop.evaluation import metrics
from lidloop.evaluation.evaluate import evaluate
from lidloop.labels import Floats, LabelSet
from lidloop.review.signals import median_disagreement

RIGHT: Final = 0.08
"""Largest NME of a label that counts as right, in outer-canthal distances; that of ``failure_rate``."""


def by_digest(labels: LabelSet, digests: Mapping[str, str]) -> LabelSet:
    """Labels under the SHA-256 of their pictures, so that two datasets of the same pictures compare.

    Args:
        labels: of one dataset. digests: SHA-256 by picture id of that dataset.
    """
    names = tuple(digests[name] for name in labels.images)
    return LabelSet(names, labels.image, labels.boxes, labels.points, labels.origin, labels.score)


def right_labels(grown: LabelSet, human: LabelSet) -> dict[str, int]:
    """Count grown labels against human ones of the same pictures.

    Returns:
        ``human`` faces; ``grown`` labels on pictures of ``human``; of them ``matched`` to a human face (IoU
        of the boxes at least 0.5), and ``right`` (matched, NME at most ``RIGHT``). Others may be faces that
        nobody annotated.
    """
    grown = grown.reindex(human.images)
    label, prediction = same_faces(human, _sure(grown))
    nme = metrics.normalised_mean_error(grown.points[prediction], human.points[label])
    return {
        "human": len(human),
        "grown": len(grown),
        "matched": len(label),
        "right": int((nme <= RIGHT).sum()),
    }


def of_model(predictions: LabelSet, human: LabelSet, *, score: float) -> dict[str, Any]:
    """Recall, NME and share of failures of a model on held-back photographs."""
    found = evaluate(predictions, human, score=score).overall
    return {
        "faces": found.faces, "recall": found.recall, "nme": found.nme_mean,
        "nme_median": found.nme_median, "failure_rate": found.nme_failure8,
    }  # fmt: skip


def signs(
    predictions: LabelSet, views: Sequence[LabelSet], earlier: LabelSet | None, human: LabelSet, *,
    score: float,
) -> dict[str, Any]:  # fmt: skip
    """Signs of quality that need no label, and how well they tell the real errors.

    Args:
        predictions: of the model. views: the same model's on changed pictures, in the picture's pixels.
        earlier: predictions of the iteration before, if any.
        human: labels, only to judge the sign.
        score: smallest score of a face that counts.

    Returns:
        ``again``: share of the faces found again in both views; ``disagreement``: median over faces of the
        mean distance of the points, over the size of the box; ``iterations``: NME against the iteration
        before, and the share of its faces that are found again; ``rank_correlation`` (Spearman) of a face's
        disagreement with its real NME; ``auc``: chance that a face with an NME over ``RIGHT`` has more
        disagreement than one without. None where nothing can be said.
    """
    faces = predictions.select(predictions.score >= score)
    distance = median_disagreement(faces, views)
    again = [
        np.isin(np.arange(len(faces)), same_faces(faces, view.reindex(faces.images))[0]) for view in views
    ]
    result: dict[str, Any] = {
        "faces": len(faces),
        "again": float(np.all(again, axis=0).mean()) if len(faces) else None,
        "disagreement": float(np.nanmedian(distance)) if np.isfinite(distance).any() else None,
        "iterations": None,
    }
    if earlier is not None:
        before = earlier.select(earlier.score >= score)
        old, new = same_faces(before, faces)
        moved = agreement("earlier", before.points[old], faces.points[new])
        result["iterations"] = {"nme": moved.nme, "again": len(old) / len(before) if len(before) else None}
    label, row = same_faces(human, faces)
    return result | usefulness(
        distance[row], metrics.normalised_mean_error(faces.points[row], human.points[label])
    )


def usefulness(sign: Floats, error: Floats) -> dict[str, float | None]:
    """Compare a sign with the errors of the same faces, (n,) each; NaN values are left out.

    Example:
        >>> usefulness(np.array([0.01, 0.02, 0.3]), np.array([0.03, 0.04, 0.2]))
        {'rank_correlation': 1.0, 'auc': 1.0}
    """
    known = np.isfinite(sign) & np.isfinite(error)
    sign, error = sign[known], error[known]
    wrong = error > RIGHT
    result: dict[str, float | None] = {"rank_correlation": None, "auc": None}
    if len(sign) > 2:
        result["rank_correlation"] = float(spearmanr(sign, error).statistic)
    if wrong.any() and not wrong.all():
        less = sign[wrong][:, None] - sign[~wrong][None]
        result["auc"] = float((less > 0).mean() + 0.5 * (less == 0).mean())
    return result


def _sure(labels: LabelSet) -> LabelSet:
    """Labels with score 1, as labels carry none that ``same_faces`` could use."""
    return LabelSet(
        labels.images, labels.image, labels.boxes, labels.points, labels.origin, np.ones(len(labels))
    )
