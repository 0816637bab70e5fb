"""Step evaluate: measure an iteration's model and decide whether another iteration follows."""

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
    reason: dsl.OutputPath(str),  # type: ignore[valid-type]  # KFP reads the call
    previous: dsl.Input[dsl.Dataset] = None,
) -> bool:
    """Compare the predictions on the validation pictures with the labels, and judge the progress.

    Args:
        iteration: number of the iteration, from 0.
        dataset: the pictures.
        gold: the gold yardstick, and the one of before if it was extended.
        labels: the label version that the iteration trained on; the paper yardstick.
        grown: the label version that it made.
        predictions: of all shards.
        min_growth: stop if the labels grow by less than this fraction.
        max_loss: stop if gold recall falls, or gold NME rises, by more than this fraction.
        evaluation: ``evaluation.json`` with the history of earlier iterations, and the predictions.
        metrics: the gold metrics, for KFP's user interface.
        reason: why the loop continues or stops, one sentence.
        previous: the evaluation of the iteration before.

    Returns:
        True if another iteration follows.
    """
    import json
    import shutil
    from pathlib import Path

    from components.step import step

    def copy(source: str, target: str) -> None:
        link_or_copy(Path(source), Path(target))

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
        # The report shows their faces, and KFP cannot pass collected artifacts into a branch.
        for number, shard in enumerate(predictions):
            target = Path(evaluation.path) / "predictions" / str(number)
            shutil.copytree(shard.path, target, copy_function=copy)
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
    # KFP's local cache runs a step again if one of its artifacts has no file.
    Path(metrics.path).write_text(json.dumps(history[-1]))
    Path(reason).write_text(verdict.reason)
    evaluation.metadata["seconds"] = this.seconds
    return verdict.proceed
