"""The loop as a Kubeflow pipeline.

KFP has no loop that carries state, so the iterations are unrolled when the pipeline is built: each is inside
the ``If`` of the previous one. The last iteration, either the final one or the one after which the loop stops
early, ends with the report.
"""

import inspect
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, List  # noqa: UP035 - KFP does not know list[str]

from kfp import compiler, dsl
from kfp.dsl.pipeline_channel import PipelineChannel

from components.auto_label import auto_label
from components.convert import convert
from components.deploy import deploy
from components.evaluate import evaluate
from components.image import IMAGE
from components.nms_filter import nms_filter
from components.promote import promote
from components.register import register
from components.report import report
from components.train import train
from lidloop.autolabel.stopping import DEFAULT_MAX_LOSS, DEFAULT_MIN_GROWTH
from lidloop.files import write_atomic
from pipelines.cluster import ClusterSettings
from pipelines.names import PIPELINE
from pipelines.parameters import declared
from pipelines.settings import RunSettings, shard_names

DESCRIPTION: Final = (
    "Grows facial-landmark labels: train, predict, add confident predictions as labels, train again, up to "
    "{iterations} times. The model of every iteration is measured on human labels and registered; the best "
    "becomes the champion. A report is written at the end."
)
OWN_PARAMETERS: Final = {
    "shards": "Parts of the pictures that are auto-labelled in parallel, each index/count.",
    "registry": "Folder or address of the model registry.",
    "run": "Name of the run in the registry, different for every run. Empty takes its id on the cluster.",
    "checkpoints": "Folder or s3://BUCKET/PREFIX that outlives a killed training step, so that it can be "
    "resumed; each run uses its own folder below it. Empty for none.",
    "pictures": "Where all runs share their pictures: s3://BUCKET/PREFIX or a folder that all steps see; "
    "empty passes them from step to step.",
    "sources_fingerprint": "Any text that changes when the sources do; KFP's cache then ignores earlier "
    "results.",
}
"""Descriptions of the parameters that a run's settings lack, or that mean something else on a cluster."""


@dataclass(frozen=True)
class _Defaults:
    """Defaults of the parameters that depend on the cluster; without one, those of a local run."""

    registry: str = "runs/registry"
    device: str = RunSettings.device
    workers: int = RunSettings.workers
    shards: tuple[str, ...] = shard_names(RunSettings.shards)
    pictures: str = ""
    checkpoints: str = ""
    run: str = "run"

    @classmethod
    def of(cls, cluster: ClusterSettings | None) -> "_Defaults":
        if cluster is None:
            return cls()
        return cls(
            registry=cluster.registry,
            device=cluster.device,
            workers=cluster.workers,
            shards=shard_names(cluster.shards),
            pictures=cluster.pictures,
            checkpoints=cluster.checkpoints_place,
            run="",
        )


@dataclass
class _Artifacts:
    """Artifacts that an iteration passes to the next: newest labels, model, evaluation and record."""

    labels: Any
    model: Any = None
    evaluation: Any = None
    record: Any = None

    def previous(self, name: str) -> dict[str, Any]:
        """Input ``previous`` of a step; empty in iteration 0."""
        artifact = getattr(self, name)
        return {} if artifact is None else {"previous": artifact}


def build_pipeline(
    iterations: int = RunSettings.iterations, *, image: str = IMAGE, cluster: ClusterSettings | None = None
) -> Any:
    """Build the pipeline.

    Args:
        iterations: number of iterations at most; the loop may stop earlier.
        image: container image of all steps; not used with a cluster.
        cluster: images, resources, volumes and Secrets of the steps on a cluster.

    Returns:
        A KFP pipeline, the result of ``@dsl.pipeline``.
    """
    if iterations < 1:
        raise ValueError(f"a pipeline needs at least one iteration, not {iterations}")

    defaults = _Defaults.of(cluster)
    if cluster is not None:
        # Not at module level: kfp-kubernetes imports the cluster client, which a local run does not need.
        from pipelines.cluster_tasks import apply_settings, config

    def task(component: Any, **inputs: Any) -> Any:
        made = component(**inputs)
        if cluster is not None:
            apply_settings(made, component.name.replace("-", "_"), cluster)
        elif image != IMAGE:
            made.set_container_image(image)
        return made

    def refinement(
        sources: List[str] = [],  # noqa: B006, UP006
        continue_from: str = "",
        label_version: str = "",
        extend_gold: bool = False,
        base_weights: str = "yolov8n-pose.pt",
        epochs: int = 10,
        imgsz: int = 640,
        batch: int = 16,
        conf: float = 0.7,
        iou: float = 0.3,
        retention: str = "accumulate",
        paper_exact: bool = False,
        seed: int = 0,
        split: float = 0.8,
        keep_splits: bool = False,
        patience: int = 0,
        ignore_unlabelled: bool = True,
        min_growth: float = DEFAULT_MIN_GROWTH,
        max_loss: float = DEFAULT_MAX_LOSS,
        device: str = defaults.device,
        workers: int = defaults.workers,
        shards: List[str] = list(defaults.shards),  # noqa: B006, UP006
        registry: str = defaults.registry,
        run: str = defaults.run,
        checkpoints: str = defaults.checkpoints,
        pictures: str = defaults.pictures,
        sources_fingerprint: str = "",
        truth: str = "",
    ) -> None:
        # On a cluster each shard has a pod of its own with its own GPU.
        label_device = device if cluster is None else "0" if cluster.label_gpus else "cpu"
        given = {name: value for name, value in locals().items() if isinstance(value, PipelineChannel)}
        convert_task = task(
            convert,
            sources=sources,
            sources_fingerprint=sources_fingerprint,
            split=split,
            keep_splits=keep_splits,
            seed=seed,
            pictures=pictures,
            continue_from=continue_from,
            label_version=label_version,
            extend_gold=extend_gold,
        )
        dataset, gold = convert_task.outputs["dataset"], convert_task.outputs["gold"]

        def iterate(k: int, before: _Artifacts) -> None:
            train_task = task(
                train,
                iteration=k,
                dataset=dataset,
                labels=before.labels,
                base_weights=base_weights,
                epochs=epochs,
                imgsz=imgsz,
                batch=batch,
                device=device,
                workers=workers,
                patience=patience,
                seed=seed,
                ignore_unlabelled=ignore_unlabelled,
                checkpoints=checkpoints,
                registry=registry,
                continue_from=continue_from,
                **before.previous("model"),
            )
            model = train_task.outputs["model"]
            with dsl.ParallelFor(shards, name=f"shards-{k}") as shard:
                shard_task = task(
                    auto_label, iteration=k, shard=shard, dataset=dataset, model=model, device=label_device
                )

            def predictions() -> Any:
                # KFP modifies a Collected when it compiles a task that takes it: each task needs its own.
                return dsl.Collected(shard_task.outputs["predictions"])

            filter_task = task(
                nms_filter,
                iteration=k,
                dataset=dataset,
                labels=before.labels,
                predictions=predictions(),
                conf=conf,
                iou=iou,
                retention=retention,
                paper_exact=paper_exact,
            )
            grown = filter_task.outputs["grown"]
            evaluate_task = task(
                evaluate,
                iteration=k,
                dataset=dataset,
                gold=gold,
                labels=before.labels,
                grown=grown,
                predictions=predictions(),
                min_growth=min_growth,
                max_loss=max_loss,
                **before.previous("evaluation"),
            )
            evaluation = evaluate_task.outputs["evaluation"]
            register_task = task(
                register,
                iteration=k,
                dataset=dataset,
                labels=before.labels,
                model=model,
                predictions=predictions(),
                grown=grown,
                evaluation=evaluation,
                registry=registry,
                run=run,
                **before.previous("record"),
            )
            promote_task = task(
                promote,
                iteration=k,
                dataset=dataset,
                gold=gold,
                registered=register_task.outputs["record"],
                registry=registry,
            )
            record = promote_task.outputs["record"]

            def end(stopped_early: Any) -> None:
                task(
                    report,
                    dataset=dataset,
                    labels=grown,
                    gold=gold,
                    evaluation=evaluation,
                    record=record,
                    settings=_as_json(given, iterations),
                    registry=registry,
                    run=run,
                    truth=truth,
                    stopped_early=stopped_early,
                )
                if cluster is not None and cluster.models:
                    task(
                        deploy,
                        after=record,
                        registry=registry,
                        models=cluster.models,
                        service=cluster.service,
                        namespace=cluster.service_namespace,
                        canary=cluster.canary,
                    )

            if k + 1 == iterations:
                end("")
                return
            # The local runner finds a condition's value only under this name.
            go_on = evaluate_task.outputs["Output"]
            with dsl.If(go_on == True, name=f"iteration-{k + 1}"):  # noqa: E712 - a KFP expression
                iterate(k + 1, _Artifacts(grown, model, evaluation, record))
            with dsl.Else(name=f"stop-after-{k}"):
                end(evaluate_task.outputs["reason"])

        iterate(0, _Artifacts(labels=convert_task.outputs["labels"]))

    refinement.__doc__ = _docstring(inspect.signature(refinement))
    decorate = dsl.pipeline(
        name=PIPELINE,
        description=DESCRIPTION.format(iterations=iterations),
        pipeline_config=None if cluster is None else config(cluster),
    )
    return decorate(refinement)


def compile_pipeline(
    path: Path,
    iterations: int = RunSettings.iterations,
    *,
    image: str = IMAGE,
    cluster: ClusterSettings | None = None,
) -> None:
    """Write the pipeline as a YAML file for KFP; arguments as of ``build_pipeline``."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(build_pipeline(iterations, image=image, cluster=cluster), str(compiled))
        write_atomic(path, compiled.read_text())


def _docstring(signature: inspect.Signature) -> str:
    """A docstring from which KFP takes the parameters' descriptions."""
    texts = parameter_texts()
    lines = [f"    {name}: {texts[name]}" for name in signature.parameters]
    return "\n".join(["Grow facial-landmark labels.", "", "Args:", *lines])


def parameter_texts() -> dict[str, str]:
    """Return the description of every parameter of the pipeline by name."""
    return {name: known.declaration.help for name, known in declared(RunSettings).items()} | OWN_PARAMETERS


def _as_json(given: Mapping[str, Any], iterations: int) -> str:
    """JSON of the pipeline's parameters with placeholders that KFP replaces at run time."""
    left_out = (
        "sources",
        "sources_fingerprint",
        "checkpoints",
        "pictures",
        "truth",
        "run",
        "shards",
        "workers",
    )
    rows = {"iterations": str(iterations)}
    for name, channel in given.items():
        if name not in left_out:
            text = f"{channel}"
            rows[name] = f'"{text}"' if channel.channel_type == "String" else text
    return "{" + ", ".join(f'"{name}": {value}' for name, value in rows.items()) + "}"
