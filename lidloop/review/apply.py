"""Import of decisions: read a label version and files, check everything, write the next version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lidloop.data.dataset import Dataset, LabelVersion, write_reviewed
from lidloop.data.ledgers import models_of
from lidloop.data.reviews import read_reviews, write_review
from lidloop.errors import DatasetError
from lidloop.files import folder_atomic
from lidloop.labels import LabelSet
from lidloop.review.decisions import DecisionFile
from lidloop.review.faces import read_faces_to_review
from lidloop.review.plan import Plan, Report, make_plan
from lidloop.review.tally import tally


def import_decisions(
    dataset: Dataset,
    labels: LabelVersion,
    files: Mapping[str, DecisionFile],
    out: Path,
    *,
    predictions: LabelSet | None = None,
) -> tuple[LabelVersion, Report]:
    """Write the label version after ``labels`` that decisions make.

    All of the decisions are taken over or none. Decisions that the version carries already are left out; if
    no other remains, nothing is written and the version itself is returned.

    Args:
        dataset: the pictures.
        labels: the version.
        files: decisions by the name of their file.
        out: folder of the new version, new or empty; written atomically.
        predictions: raw predictions, from which confirmed dropped faces get their points.

    Raises:
        DatasetError: for decisions that cannot be taken over; the message names all of them.
        OccupiedError: where ``out`` is not empty.
    """
    if not files:
        raise DatasetError("there is no file of decisions")
    faces = read_faces_to_review(dataset, labels, predictions)
    earlier = read_reviews(labels)
    plan: Plan = make_plan(dataset, labels, faces, earlier, files)
    if not plan.rows:
        return labels, plan.report
    with folder_atomic(out) as folder:
        counts = [one.to_json() for one in tally([*earlier, *plan.rows])]
        review = {**plan.report.to_json(), "faces": counts, "models": models_of(labels)}
        parameters = {"review": review}
        version = write_reviewed(folder, labels, dataset, plan.changed, plan.ledger, parameters=parameters)
        write_review(folder, version.version, plan.rows)
    return LabelVersion.open(out), plan.report
