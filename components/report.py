"""Step report: write a run's report as HTML and JSON."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def report(
    dataset: dsl.Input[dsl.Dataset],
    labels: dsl.Input[dsl.Dataset],
    gold: dsl.Input[dsl.Dataset],
    evaluation: dsl.Input[dsl.Dataset],
    record: dsl.Input[dsl.Artifact],
    settings: str,
    registry: str,
    run: str,
    truth: str,
    stopped_early: str,
    folder: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
) -> None:
    """Write the report of a run.

    Args:
        dataset: the pictures.
        labels: the newest label version; its ledger covers all earlier ones.
        gold: the gold yardstick.
        evaluation: the newest evaluation, with its history and the predictions.
        record: the duration of every step.
        settings: the run's settings, as JSON.
        registry: folder or address of the registry.
        run: name of the run; empty takes its id on the cluster.
        truth: file with the hidden labels of generated faces; empty for other data.
        stopped_early: reason why the loop stopped before its last iteration; empty if it did not.
        folder: ``report.html``, ``summary.json`` and ``timings.json``.
        page: a copy of ``report.html`` for KFP's user interface.
    """
    import json
    import shutil
    from pathlib import Path

    from components.run_id import run_name
    from components.step import carry_steps, plain_number, step

    with step("report"):
        from lidloop.report import write_report

        out = Path(folder.path)
        out.mkdir(parents=True, exist_ok=True)
        timings = out / "timings.json"
        timings.write_text(json.dumps({"steps": carry_steps(Path(record.path), None)}))
        write_report(
            Path(dataset.path),
            Path(labels.path),
            Path(evaluation.path),
            out,
            run=run_name(run),
            registry_uri=registry,
            gold_dir=Path(gold.path),
            predictions=sorted(Path(evaluation.path).glob("predictions/*")),
            timings=timings,
            truth=Path(truth) if truth else None,
            stopped_early=stopped_early or None,
            arguments=json.loads(settings, parse_float=plain_number),
        )
        shutil.copyfile(out / "report.html", page.path)
