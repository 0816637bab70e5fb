"""Application of a cluster's settings to the tasks of a pipeline, with KFP and kfp-kubernetes."""

from __future__ import annotations

from typing import Any, Final

from kfp import dsl, kubernetes

from components.run_id import RUN_ID
from pipelines.cluster import GPU_STEPS, REGISTRY_NAMES, STORE_NAMES, WORKSPACE, ClusterSettings

WITH_PICTURES: Final = ("convert", "train", "auto_label", "promote", "report")
"""Steps that read or write pictures: they need the object store, the workspace and space for copies."""

WITH_STORE: Final = (*WITH_PICTURES, "deploy")
WITH_REGISTRY: Final = ("register", "promote", "deploy", "report")

SHARED: Final = "/dev/shm"  # noqa: S108 - a volume
SCRATCH: Final = "/scratch"
CA: Final = "/etc/lidloop/ca"


def apply_settings(task: Any, step: str, settings: ClusterSettings) -> None:
    """Set image, resources, volumes, Secrets, retries and caching of a task.

    Args:
        task: a task of a pipeline that is being built.
        step: name of its component.
        settings: settings of the cluster.
    """
    gpus = {"train": settings.gpus, "auto_label": settings.label_gpus}.get(step, 0)
    task.set_container_image(settings.gpu_image if step in GPU_STEPS else settings.image)
    kubernetes.set_image_pull_policy(task, settings.pull_policy)
    if settings.pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(settings.pull_secrets))
    _resources(task, step, settings)
    if gpus:
        _gpu(task, gpus, settings)
    if step in GPU_STEPS:
        kubernetes.empty_dir_mount(task, "shared-memory", SHARED, "Memory", settings.shared_memory)
    _storage(task, step, settings)
    _secrets(task, step, settings)
    task.set_retry(
        settings.retries if step in GPU_STEPS else settings.step_retries,
        backoff_duration=settings.retry_wait,
        backoff_factor=2.0,
        backoff_max_duration=settings.retry_wait_most,
    )
    task.set_caching_options(step in settings.cached)
    # KFP adds the rest of Pod Security "restricted": no capabilities, no escalation, RuntimeDefault.
    kubernetes.set_security_context(
        task, run_as_user=settings.user, run_as_group=settings.user, run_as_non_root=True
    )
    kubernetes.use_field_path_as_env(task, RUN_ID, "metadata.labels['pipeline/runid']")
    kubernetes.add_pod_label(task, "app.kubernetes.io/part-of", "lidloop")
    kubernetes.add_pod_label(task, "app.kubernetes.io/component", step.replace("_", "-"))


def config(settings: ClusterSettings) -> dsl.PipelineConfig:
    """Return the time-out of a run, and the time that its pods are kept."""
    return dsl.PipelineConfig(
        ttl_seconds_after_finished=round(settings.keep_hours * 3600),
        active_deadline_seconds=round(settings.run_hours * 3600),
    )


def _resources(task: Any, step: str, settings: ClusterSettings) -> None:
    given = settings.resources(step)
    task.set_cpu_request(given.cpu).set_cpu_limit(given.cpu_limit)
    task.set_memory_request(given.memory).set_memory_limit(given.memory_limit)
    kubernetes.set_timeout(task, round(given.hours * 3600))


def _gpu(task: Any, gpus: int, settings: ClusterSettings) -> None:
    task.set_accelerator_type(settings.accelerator).set_accelerator_limit(gpus)
    for label, value in settings.gpu_nodes.items():
        kubernetes.add_node_selector(task, label, value)
    for toleration in settings.gpu_tolerations:
        kubernetes.add_toleration(
            task,
            key=toleration.key,
            operator="Equal" if toleration.value else "Exists",
            value=toleration.value or None,
            effect=toleration.effect,
        )


def _storage(task: Any, step: str, settings: ClusterSettings) -> None:
    if step not in WITH_PICTURES:
        return
    kubernetes.empty_dir_mount(task, "scratch", SCRATCH, size_limit=settings.scratch)
    task.set_env_variable("TMPDIR", SCRATCH)
    if settings.workspace:
        kubernetes.mount_pvc(task, settings.workspace, WORKSPACE)


def _secrets(task: Any, step: str, settings: ClusterSettings) -> None:
    environment = dict(settings.environment)
    if step in WITH_STORE:
        environment |= {
            name: value
            for name, value in (
                ("AWS_ENDPOINT_URL_S3", settings.store_endpoint),
                ("AWS_REGION", settings.store_region),
            )
            if value
        }
        if settings.store_secret:
            kubernetes.use_secret_as_env(task, settings.store_secret, {name: name for name in STORE_NAMES})
    if step in WITH_REGISTRY and settings.registry_secret:
        kubernetes.use_secret_as_env(task, settings.registry_secret, {name: name for name in REGISTRY_NAMES})
    if settings.ca_config_map and step in {*WITH_STORE, *WITH_REGISTRY}:
        kubernetes.use_config_map_as_volume(task, settings.ca_config_map, CA)
        # For the store's client, and for requests, which MLflow uses.
        environment |= {"AWS_CA_BUNDLE": f"{CA}/ca.crt", "REQUESTS_CA_BUNDLE": f"{CA}/ca.crt"}
    for name, value in environment.items():
        task.set_env_variable(name, value)
