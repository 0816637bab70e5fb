"""Step convert: read sources of any format into one dataset and label version 0."""

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
) -> None:
    """Read the sources and write the dataset and label version 0.

    Args:
        sources: annotations to read, such as ``ibug:DIR`` or ``coco:FILE``, local or in an object store.
        sources_fingerprint: text that changes when the sources do: part of the cache key.
        split: share of the pictures for training. Copies of a picture stay on one side.
        keep_splits: keep the splits that the sources give.
        seed: random seed of the split.
        pictures: folder or ``s3://`` address where all runs share pictures; empty keeps them in the dataset.
        dataset: the pictures and their index.
        labels: label version 0, the labels as given.
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
