"""Step nms_filter: choose the predictions that become labels."""

from typing import List  # noqa: UP035

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def nms_filter(
    iteration: int,
    dataset: dsl.Input[dsl.Dataset],
    labels: dsl.Input[dsl.Dataset],
    predictions: dsl.Input[List[dsl.Dataset]],  # noqa: UP006
    conf: float,
    iou: float,
    retention: str,
    paper_exact: bool,
    grown: dsl.Output[dsl.Dataset],
) -> None:
    """Write the next label version: the existing labels, and the predictions that overlap none of them.

    Args:
        iteration: number of the iteration, from 0.
        dataset: the pictures.
        labels: the label version that the iteration trained on.
        predictions: of all shards.
        conf: smallest confidence of a new label.
        iou: a prediction is dropped if its box overlaps a label's box by more than this IoU.
        retention: ``accumulate`` keeps grown labels; ``relabel`` keeps human labels and grows others anew.
        paper_exact: compare predictions with existing labels only, not with each other, as the paper does.
        grown: the next label version.
    """
    from pathlib import Path

    from components.step import step

    with step("nms_filter", iteration) as this:
        from lidloop.autolabel.refine import refine
        from lidloop.data.dataset import Dataset, LabelVersion

        refine(
            Dataset.open(Path(dataset.path)),
            LabelVersion.open(Path(labels.path)),
            [Path(shard.path) for shard in predictions],
            Path(grown.path),
            conf=conf,
            iou=iou,
            retention=retention,  # type: ignore[arg-type]  # checked by RunSettings
            paper_exact=paper_exact,
            iteration=iteration,
        )
    grown.metadata["seconds"] = this.seconds
