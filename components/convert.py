"""Step convert: sources in any mix become one dataset and label version 0."""

from typing import List  # noqa: UP035

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def convert(
    sources: List[str],  # noqa: UP006
    sources_fingerprint: str,
    split: float,
    keep_splits: bool,
    seed: int,
    pictures: str,
    dataset: dsl.Output[dsl.Dataset],
    labels: dsl.Output[dsl.Dataset],
):
    """Read the sources and write the dataset and the labels as given.

    Args:
        sources: what to read: ``ibug:DIR``, ``dlib:FILE``, ``coco:FILE`` or ``yolo:DIR``, here or in a store.
        sources_fingerprint: changes when the sources do, so that the cache does not answer for old ones.
        split: share of the pictures, by group, that is for training.
        keep_splits: keep the splits that the sources give.
        seed: of the split.
        pictures: where all runs share theirs, a folder or ``s3://`` address; empty for the dataset's own.
        dataset: the pictures and their index.
        labels: label version 0.
    """
    from pathlib import Path

    from components.step import step

    with step("convert") as this:
        from lidloop.data.convert import convert
        from lidloop.data.dataset import share_pictures

        written, _ = convert(
            sources,
            Path(dataset.path),
            Path(labels.path),
            split=split,
            seed=seed,
            keep_splits=keep_splits,
            progress=this.progress("pictures"),
        )
        if pictures:
            share_pictures(written, pictures)
    dataset.metadata["seconds"] = this.seconds
