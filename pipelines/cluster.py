"""Settings of a cluster: images, GPUs, resources, volumes, Secrets, time-outs and retries of the steps.

They are compiled into a pipeline; whoever starts a run gives the pipeline's parameters only.
``pipelines.cluster_file`` reads them from YAML, ``pipelines.cluster_tasks`` applies them to tasks.
"""

# ruff: noqa: RUF009 - parameter() is dataclasses.field with a declaration

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from components.image import IMAGE
from lidloop.errors import LidloopError
from pipelines.parameters import declared, parameter
from pipelines.settings import RunSettings

STEPS: Final = (
    "convert", "train", "auto_label", "nms_filter", "evaluate", "register", "promote", "report"
)  # fmt: skip
GPU_STEPS: Final = ("train", "auto_label")
CACHEABLE: Final = ("convert", "train", "auto_label", "nms_filter", "evaluate")
"""Steps whose result depends on their inputs only; the others change the registry or report on it."""

WORKSPACE: Final = "/workspace"
"""Mount path of the volume of ``workspace`` in the steps."""

STORE_NAMES: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
REGISTRY_NAMES: Final = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
SECRET_NAMES: Final = frozenset(
    {*STORE_NAMES, *REGISTRY_NAMES, "AWS_SESSION_TOKEN", "MLFLOW_TRACKING_TOKEN"}
)  # fmt: skip
"""Environment variables that hold a secret: never written into a compiled pipeline."""

_CPU: Final = {"pattern": r"[0-9]+(\.[0-9]+)?|[0-9]+m", "pattern_text": "a number of CPUs such as 4 or 500m"}
_AMOUNT: Final = {
    "pattern": r"[0-9]+(E|Ei|P|Pi|T|Ti|G|Gi|M|Mi|K|Ki)?",
    "pattern_text": "an amount of bytes such as 8Gi",
}
_DURATION: Final = {"pattern": r"[0-9]+s", "pattern_text": "a number of seconds such as 60s"}
_NAME: Final = {
    "pattern": r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?",
    "pattern_text": "a Kubernetes name: lower-case letters, digits, '-' and '.'",
}
_LONGEST_HOURS: Final = 24 * 365.0
_RUN: Final = declared(RunSettings)


class ClusterError(LidloopError):
    """Invalid settings of a cluster."""


def _same(name: str, default: Any) -> Any:
    """A parameter of a run with a default of its own on a cluster."""
    rule = _RUN[name].declaration
    text = rule.help[0].lower() + rule.help[1:].rstrip(".")
    return parameter(default, help=text, minimum=rule.minimum, maximum=rule.maximum)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Resources of one kind of step: ``cpu`` and ``memory`` are requests, the others limits."""

    cpu: str = parameter("1", help="CPU request", **_CPU)
    memory: str = parameter("2Gi", help="memory request", **_AMOUNT)
    cpu_limit: str = parameter("2", help="CPU limit", **_CPU)
    memory_limit: str = parameter("4Gi", help="memory limit", **_AMOUNT)
    hours: float = parameter(
        6.0, help="time-out of one attempt in hours", exclusive_minimum=0.0, maximum=_LONGEST_HOURS
    )


@dataclass(frozen=True, kw_only=True)
class Toleration:
    """A taint of GPU nodes that the GPU steps tolerate."""

    key: str = parameter("nvidia.com/gpu", help="key of the taint")
    value: str = parameter("", help="value of the taint; empty for any")
    effect: str = parameter(
        "NoSchedule", help="effect of the taint", choices=("NoSchedule", "PreferNoSchedule", "NoExecute")
    )


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """Settings of a cluster.

    Raises:
        ClusterError: for invalid values; all are named at once.
    """

    image: str = parameter(IMAGE, help="image of the steps without a GPU")
    gpu_image: str = parameter(f"{IMAGE}-gpu", help="image of train and auto_label")
    pull_policy: str = parameter(
        "IfNotPresent", help="image pull policy", choices=("Always", "IfNotPresent", "Never")
    )
    pull_secrets: tuple[str, ...] = parameter((), help="Secrets with which the images are pulled")

    gpus: int = parameter(
        1, help="GPUs of a training, all in one pod; 0 trains on CPUs", minimum=0, maximum=64
    )
    label_gpus: int = parameter(1, help="GPUs of each shard of auto-labelling, 0 or 1", minimum=0, maximum=1)
    accelerator: str = parameter("nvidia.com/gpu", help="resource name of the GPUs")
    gpu_nodes: dict[str, str] = parameter(
        {"nvidia.com/gpu.present": "true"}, help="labels of the nodes for train and auto_label"
    )
    gpu_tolerations: tuple[Toleration, ...] = parameter(
        (Toleration(),), help="taints of those nodes that the steps tolerate"
    )
    shared_memory: str = parameter(
        "8Gi", help="size of /dev/shm in train and auto_label; counts as part of their memory", **_AMOUNT
    )
    workers: int = _same("workers", 8)
    shards: int = _same("shards", 4)

    train: Resources = parameter(
        Resources(cpu="8", memory="24Gi", cpu_limit="16", memory_limit="48Gi", hours=48.0), help="of train"
    )
    auto_label: Resources = parameter(
        Resources(cpu="4", memory="8Gi", cpu_limit="8", memory_limit="24Gi", hours=12.0),
        help="of each auto_label",
    )
    steps: Resources = parameter(
        Resources(cpu="1", memory="4Gi", cpu_limit="4", memory_limit="12Gi", hours=12.0),
        help="of each other step",
    )

    pictures: str = parameter(
        "",
        help="where all runs share their pictures: s3://BUCKET/PREFIX, or a folder of the workspace; empty "
        "passes them from step to step",
    )
    scratch: str = parameter(
        "100Gi", help="disk space for pictures and sources that a step downloads", **_AMOUNT
    )
    workspace: str = parameter(
        "",
        help=f"PersistentVolumeClaim that many nodes can write, mounted at {WORKSPACE}; empty for none",
        **_NAME,
    )
    checkpoints: str = parameter(
        "",
        help="where a killed training is resumed from: s3://BUCKET/PREFIX, or a folder of the workspace; "
        f"empty takes {WORKSPACE}/checkpoints with a workspace, and restarts the training without one",
    )
    store_secret: str = parameter(
        "lidloop-s3",
        help="Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the object store; empty for none",
        **_NAME,
    )
    store_endpoint: str = parameter("", help="address of the S3 server; empty for Amazon's")
    store_region: str = parameter("", help="region of the object store; empty for the server's default")
    registry: str = parameter("http://lidloop-registry.lidloop.svc", help="address of the model registry")
    registry_secret: str = parameter(
        "lidloop-registry-user",
        help="Secret with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; empty for none",
        **_NAME,
    )
    ca_config_map: str = parameter(
        "",
        help="ConfigMap whose ca.crt signs the certificates of store and registry; empty for public CAs",
        **_NAME,
    )
    models: str = parameter(
        "",
        help="where the champion's bundle is pushed at the end, a prefix for each version: "
        "s3://BUCKET/PREFIX; empty deploys nothing",
    )
    service: str = parameter("lidloop-serving", help="InferenceService that serves the champion", **_NAME)
    service_namespace: str = parameter("lidloop", help="namespace of the InferenceService", **_NAME)
    canary: int = parameter(
        -1,
        help="share of the traffic in percent that the champion gets as a canary; -1 replaces the served "
        "model",
        minimum=-1,
        maximum=100,
    )
    environment: dict[str, str] = parameter({}, help="further environment variables of all steps; no secrets")

    retries: int = parameter(
        3, help="retries of train and auto_label, which may be preempted", minimum=0, maximum=100
    )
    step_retries: int = parameter(1, help="retries of each other step", minimum=0, maximum=100)
    retry_wait: str = parameter(
        "60s", help="wait before the first retry; doubled for each further one", **_DURATION
    )
    retry_wait_most: str = parameter("1800s", help="longest wait before a retry", **_DURATION)
    cached: tuple[str, ...] = parameter(
        ("auto_label", "nms_filter", "evaluate"),
        help="steps whose results KFP may take from an earlier run with the same inputs: "
        f"{', '.join(CACHEABLE)}. convert: only if every run sets sources_fingerprint, as `lidloop "
        "submit` does. train: the seed is an input, but sums on GPUs are not deterministic",
    )
    user: int = parameter(
        10001, help="user and group id of the steps; not root", minimum=1, maximum=2**31 - 1
    )
    run_hours: float = parameter(
        336.0, help="time-out of a run in hours", minimum=0.1, maximum=_LONGEST_HOURS
    )
    keep_hours: float = parameter(
        168.0,
        help="hours for which KFP keeps the pods and workflow of a finished run",
        minimum=0.1,
        maximum=_LONGEST_HOURS,
    )

    def __post_init__(self) -> None:
        problems = [*_out_of_range(self), *self._combinations()]
        if problems:
            raise ClusterError("; ".join(problems))

    @property
    def checkpoints_place(self) -> str:
        """Folder or address of the checkpoints of all runs; empty for none."""
        return self.checkpoints or (f"{WORKSPACE}/checkpoints" if self.workspace else "")

    @property
    def device(self) -> str:
        """Device of a training: all GPUs of its pod."""
        return ",".join(map(str, range(self.gpus))) if self.gpus else "cpu"

    def resources(self, step: str) -> Resources:
        """Return the resources of a step."""
        return self.train if step == "train" else self.auto_label if step == "auto_label" else self.steps

    def _combinations(self) -> Iterator[str]:
        """Problems that a single value's range does not show."""
        if self.models and not self.models.startswith("s3://"):
            yield f"models must be s3://BUCKET/PREFIX, which KServe reads, not {self.models!r}"
        for name in ("image", "gpu_image"):
            tag = getattr(self, name).rpartition("/")[2]
            if ":" not in tag or tag.endswith(":latest"):
                yield f"{name} needs a version or digest, not {getattr(self, name)!r}"
        for step in self.cached:
            if step not in CACHEABLE:
                yield f"cached: {step} cannot be cached, only {', '.join(CACHEABLE)}"
        for name in ("pictures", "checkpoints"):
            place = getattr(self, name)
            if place and not place.startswith(("s3://", f"{WORKSPACE}/")):
                yield f"{name} must be s3://BUCKET/PREFIX or a folder below {WORKSPACE}, not {place!r}"
            elif place.startswith("/") and not self.workspace:
                yield f"{name} is a folder of the workspace, but no workspace is given"
        for name in sorted(set(self.environment) & SECRET_NAMES):
            yield f"environment: {name} is a secret; name its Secret as store_secret or registry_secret"


def _out_of_range(settings: Any, prefix: str = "") -> Iterator[str]:
    """Problems of single values, of nested settings too."""
    kind: type = type(settings)
    for name, known in declared(kind).items():
        value = getattr(settings, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Resources | Toleration):
                yield from _out_of_range(part, f"{prefix}{name}.")
        if problem := known.problem(value):
            yield f"{prefix}{name} {problem}"
