"""Step train: fine-tune a model on a label version."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train(
    iteration: int,
    dataset: dsl.Input[dsl.Dataset],
    labels: dsl.Input[dsl.Dataset],
    base_weights: str,
    epochs: int,
    imgsz: int,
    batch: int,
    device: str,
    workers: int,
    patience: int,
    seed: int,
    ignore_unlabelled: bool,
    checkpoints: str,
    registry: str,
    continue_from: str,
    model: dsl.Output[dsl.Model],
    previous: dsl.Input[dsl.Model] = None,
) -> None:
    """Fine-tune the base weights, or the previous iteration's model if there is one.

    Args:
        iteration: number of the iteration, from 0.
        dataset: the pictures.
        labels: the label version to train on.
        base_weights: weights that iteration 0 starts from: ``starter``, a path,
            ``s3://BUCKET/…/NAME.pt``, a name that Ultralytics publishes, or ``champion``. The champion is
            the default of a run that goes on from an earlier one.
        epochs: passes over the training pictures.
        imgsz: longer side of the network's input in pixels.
        batch: pictures per step, over all GPUs together.
        device: ``cpu``, ``0``, ``0,1`` …; empty takes a GPU if there is one.
        workers: processes that load pictures during training.
        patience: stop after this many epochs without a better validation; 0 never stops early.
        seed: random seed.
        ignore_unlabelled: no background loss where the model is confident of a face without a label.
        checkpoints: folder or ``s3://`` address of the files from which a killed training is resumed; empty
            keeps none after the step.
        registry: folder or address of the registry, for the champion's weights.
        continue_from: folder or address of an earlier run; empty for a run from sources.
        model: ``model.onnx``, ``weights.pt`` and ``training.json``.
        previous: the model of the iteration before.
    """
    from pathlib import Path

    from components.first_weights import first_weights
    from components.run_id import checkpoint_place
    from components.step import step

    with step("train", iteration) as this:
        from lidloop.data.dataset import Dataset, LabelVersion
        from lidloop.training import fine_tune as training

        settings = training.TrainSettings(
            epochs=epochs,
            imgsz=imgsz,
            batch=batch,
            device=device,
            workers=workers,
            patience=patience,
            seed=seed,
            ignore=dict(training.IGNORE_UNLABELLED) if ignore_unlabelled else None,
        )
        name = base_weights if previous is None else previous.path
        with first_weights(name, registry, continues=bool(continue_from)) as (start, version):
            training.train(
                Dataset.open(Path(dataset.path)),
                LabelVersion.open(Path(labels.path)),
                Path(model.path),
                iteration=iteration,
                weights=start,
                settings=settings,
                checkpoints=checkpoint_place(checkpoints, iteration),
            )
    model.metadata["started_from"] = version
    model.metadata["seconds"] = this.seconds
