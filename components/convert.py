"""Step convert: read sources into one dataset and label version 0, or take over those of an earlier run."""

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
    continue_from: str,
    label_version: str,
    extend_gold: bool,
    dataset: dsl.Output[dsl.Dataset],
    labels: dsl.Output[dsl.Dataset],
    gold: dsl.Output[dsl.Dataset],
) -> None:
    """Read the sources and write the dataset and label version 0, or take over those of an earlier run.

    Args:
        sources: annotations to read, such as ``ibug:DIR`` or ``coco:FILE``, local or in an object store.
        sources_fingerprint: text that changes when the sources do: part of the cache key.
        split: share of the pictures for training. Copies of a picture stay on one side.
        keep_splits: keep the splits that the sources give.
        seed: random seed of the split.
        pictures: folder or ``s3://`` address where all runs share pictures; empty keeps them in the dataset.
        continue_from: folder or ``s3://`` address of an earlier run, instead of sources.
        label_version: its reviewed label version: number, folder or address; empty takes the newest.
        extend_gold: that version's human validation labels become the gold yardstick.
        dataset: the pictures and their index.
        labels: label version 0, the labels as given; of an earlier run its reviewed version.
        gold: the gold yardstick, human validation labels.
    """
    from pathlib import Path

    from components.step import step

    with step("convert") as this:
        from lidloop.data.convert import convert
        from lidloop.data.dataset import Dataset, share_pictures
        from lidloop.data.gold import write_gold

        if continue_from:
            from lidloop.report.earlier_run import begin_from

            begin_from(
                continue_from,
                label_version,
                Path(dataset.path),
                Path(labels.path),
                Path(gold.path),
                extend_gold=extend_gold,
            )
            written = Dataset.open(Path(dataset.path))
        else:
            written, given = convert(
                sources,
                Path(dataset.path),
                Path(labels.path),
                split=split,
                seed=seed,
                keep_splits=keep_splits,
                progress=this.progress("pictures"),
            )
            write_gold(Path(gold.path), written, given)
        if pictures and "pictures" not in written.info:
            share_pictures(written, pictures)
    dataset.metadata["seconds"] = this.seconds
