"""Step evaluate: an iteration's model on both yardsticks, and whether to go on."""

from typing import List  # noqa: UP035

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    iteration: int,
    dataset: dsl.Input[dsl.Dataset],
    gold: dsl.Input[dsl.Dataset],
    labels: dsl.Input[dsl.Dataset],
    grown: dsl.Input[dsl.Dataset],
    predictions: dsl.Input[List[dsl.Dataset]],  # noqa: UP006
    min_growth: float,
    max_loss: float,
    evaluation: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    reason: dsl.OutputPath(str),
    previous: dsl.Input[dsl.Dataset] = None,
) -> bool:
    """Compare the auto-label step's predictions on the validation pictures with the labels.

    Args:
        iteration: number of the iteration, from 0.
        dataset: the pictures.
        gold: label version 0: the human yardstick.
        labels: the label version that the iteration trained on: the paper's yardstick.
        grown: the label version that it made.
        predictions: those of all shards.
        min_growth: stop where the labels grow by less, as a fraction.
        max_loss: stop where gold recall falls, or gold NME rises, by more, as a fraction.
        evaluation: ``evaluation.json``, with the history of the iterations before, and the predictions.
        metrics: the gold figures, for KFP's interface.
        reason: why to go on or stop, in words.
        previous: the evaluation of the iteration before.

    Returns:
        Whether another iteration is worth it.
    """
    import json
    import shutil
    from pathlib import Path

    from components.step import step

    with step("evaluate", iteration) as this:
        from lidloop.autolabel.stopping import judge
        from lidloop.data.dataset import Dataset, LabelVersion
        from lidloop.evaluation.evaluate import evaluate_iteration
        from lidloop.files import link_or_copy

        before, after = LabelVersion.open(Path(labels.path)), LabelVersion.open(Path(grown.path))
        result = evaluate_iteration(
            Dataset.open(Path(dataset.path)),
            LabelVersion.open(Path(gold.path)),
            before,
            [Path(shard.path) for shard in predictions],
            Path(evaluation.path),
            iteration=iteration,
            previous=None if previous is None else Path(previous.path),
        )
        # The report shows faces of them, and KFP cannot hand collected artifacts into a branch.
        for number, shard in enumerate(predictions):
            target = Path(evaluation.path) / "predictions" / str(number)
            shutil.copytree(shard.path, target, copy_function=link_or_copy)
        history = [entry["gold"]["overall"] for entry in result["iterations"]]
        verdict = judge(
            before.info["total"],
            after.info["total"],
            history[-1],
            history[-2] if len(history) > 1 else None,
            min_growth=min_growth,
            max_loss=max_loss,
        )
    for name, value in history[-1].items():
        if value is not None:
            metrics.log_metric(name, value)
    # KFP's local cache takes an artifact without a file for one that was lost, and runs the step again.
    Path(metrics.path).write_text(json.dumps(history[-1]))
    Path(reason).write_text(verdict.reason)
    evaluation.metadata["seconds"] = this.seconds
    return verdict.proceed
