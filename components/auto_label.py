"""Step auto_label: predict faces on one shard of the pictures."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def auto_label(
    iteration: int,
    shard: str,
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    device: str,
    predictions: dsl.Output[dsl.Dataset],
) -> None:
    """Predict faces on one shard, down to confidences well below the threshold for new labels.

    Args:
        iteration: number of the iteration, from 0.
        shard: ``index/count``, index from 0.
        dataset: the pictures and their index.
        model: the iteration's model.
        device: as for training; empty takes a GPU if there is one.
        predictions: ``faces.parquet``, and a list of the pictures that could not be read.
    """
    from pathlib import Path

    from components.step import inference, step

    with step("auto_label", iteration) as this:
        from lidloop.autolabel.predict import predict_shard
        from lidloop.data.dataset import Dataset

        index, count = map(int, shard.split("/"))
        backend, place = inference(device, index)
        predict_shard(
            Dataset.open(Path(dataset.path)),
            Path(model.path),
            Path(predictions.path),
            shard=index,
            shards=count,
            backend=backend,
            device=place,
            progress=this.progress("pictures"),
        )
    predictions.metadata["seconds"] = this.seconds
