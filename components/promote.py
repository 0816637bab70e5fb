"""Step promote: make a version the champion if it passes the promotion gate."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def promote(
    iteration: int,
    dataset: dsl.Input[dsl.Dataset],
    gold: dsl.Input[dsl.Dataset],
    registered: dsl.Input[dsl.Artifact],
    registry: str,
    record: dsl.Output[dsl.Artifact],
) -> bool:
    """Compare a version with the champion on gold, and move the alias if the version passes.

    Args:
        iteration: number of the iteration, from 0.
        dataset: the pictures.
        gold: the gold yardstick. A champion that was measured on other labels is measured on these.
        registered: the record that register wrote.
        registry: folder or address of the registry.
        record: the same, with this step's duration.

    Returns:
        True if the version is the champion now.
    """
    import json
    from pathlib import Path

    from components.step import carry_steps, step

    with step("promote", iteration) as this:
        from lidloop.registry.steps import promote_step

        given = Path(registered.path)
        version = json.loads(given.read_text())["version"]
        champion = promote_step(registry, version, dataset_dir=Path(dataset.path), gold_dir=Path(gold.path))
    steps = carry_steps(given, iteration, register=this.seconds)
    Path(record.path).write_text(json.dumps({"version": version, "steps": steps}))
    return champion
