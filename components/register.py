"""Step register: register an iteration's model as a version."""

from typing import List  # noqa: UP035

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def register(
    iteration: int,
    dataset: dsl.Input[dsl.Dataset],
    labels: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    predictions: dsl.Input[List[dsl.Dataset]],  # noqa: UP006
    grown: dsl.Input[dsl.Dataset],
    evaluation: dsl.Input[dsl.Dataset],
    registry: str,
    run: str,
    record: dsl.Output[dsl.Artifact],
    previous: dsl.Input[dsl.Artifact] = None,
) -> None:
    """Bundle the model with its evaluation and lineage and register it. Repeated runs register it once.

    Args:
        iteration: number of the iteration, from 0.
        dataset: the pictures.
        labels: the label version that the model was trained on.
        model: the iteration's model.
        predictions: the model's predictions, for the drift profile.
        grown: the label version that the iteration made, for the label statistics that are monitored.
        evaluation: the iteration's evaluation.
        registry: folder or address of the registry.
        run: name of the run; empty takes its id on the cluster.
        record: number of the version, and the duration of every step so far in seconds.
        previous: the record of the iteration before: a version is registered after its parent.
    """
    import json
    from pathlib import Path

    from components.run_id import run_name
    from components.step import carry_steps, step

    with step("register", iteration) as this:
        from lidloop.registry.steps import register_step

        shards = [Path(shard.path) for shard in predictions]
        version = register_step(
            Path(model.path),
            Path(evaluation.path),
            Path(dataset.path),
            Path(labels.path),
            registry_uri=registry,
            run=run_name(run),
            iteration=iteration,
            predictions=shards,
            grown_dir=Path(grown.path),
            started_from=model.metadata.get("started_from") or None,
        )
    before = None if previous is None else Path(previous.path)
    steps = carry_steps(before, None, convert=None if before else dataset.metadata.get("seconds"))
    steps += carry_steps(
        None,
        iteration,
        train=model.metadata.get("seconds"),
        filter=grown.metadata.get("seconds"),
        autolabel=sum(shard.metadata.get("seconds", 0.0) for shard in predictions),
        evaluate=evaluation.metadata.get("seconds"),
        register=this.seconds,
    )
    Path(record.path).write_text(json.dumps({"version": version, "steps": steps}))
