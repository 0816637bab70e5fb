"""What a cluster gives to a run: images, GPUs, memory, volumes, Secrets, and how often and long a step tries.

A compiled pipeline holds these; whoever starts a run gives its parameters only. ``ClusterSettings`` is read
from a YAML file with the same names. ``pipelines.cluster_tasks`` applies it.
"""
# ruff: noqa: RUF009 - _setting is dataclasses.field with a description

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

import yaml

from components.image import IMAGE
from lidloop.errors import LidloopError

STEPS: Final = (
    "convert", "train", "auto_label", "nms_filter", "evaluate", "register", "promote", "report"
)  # fmt: skip
GPU_STEPS: Final = ("train", "auto_label")
CACHEABLE: Final = ("convert", "train", "auto_label", "nms_filter", "evaluate")
"""Steps whose result depends on their inputs alone; the others change the registry or tell of it."""

WORKSPACE: Final = "/workspace"
"""Where the steps find the volume of ``workspace``."""

_CPU: Final = re.compile(r"[0-9]+(\.[0-9]+)?|[0-9]+m")
_AMOUNT: Final = re.compile(r"[0-9]+(E|Ei|P|Pi|T|Ti|G|Gi|M|Mi|K|Ki)?")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_DURATION: Final = re.compile(r"[0-9]+s")
_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class ClusterError(LidloopError):
    """Settings of a cluster that cannot be."""


def _setting(default: Any, text: str) -> Any:
    """A field with its description; a mutable default is made anew for each."""
    if isinstance(default, (dict, tuple)) or is_dataclass(default):
        return field(default_factory=lambda: default, metadata={"text": text})
    return field(default=default, metadata={"text": text})


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one kind of step is given: ``cpu`` and ``memory`` are set aside, the limits are the most."""

    cpu: str = _setting("1", "CPUs set aside")
    memory: str = _setting("2Gi", "memory set aside")
    cpu_limit: str = _setting("2", "most CPUs")
    memory_limit: str = _setting("4Gi", "most memory")
    hours: float = _setting(6.0, "a step that takes longer is ended, and tried again where it may be")


@dataclass(frozen=True, kw_only=True)
class Toleration:
    """A taint of GPU nodes that the GPU steps accept."""

    key: str = _setting("nvidia.com/gpu", "of the taint")
    value: str = _setting("", "of the taint; empty for any")
    effect: str = _setting("NoSchedule", "NoSchedule, PreferNoSchedule or NoExecute")


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """The settings of a cluster.

    Raises:
        ClusterError: for values that cannot be; all of them are named at once.
    """

    image: str = _setting(IMAGE, "image of the steps without a GPU")
    gpu_image: str = _setting(f"{IMAGE}-gpu", "image of train and auto_label")
    pull_policy: str = _setting("IfNotPresent", "Always, IfNotPresent or Never")
    pull_secrets: tuple[str, ...] = _setting((), "Secrets that the images are pulled with")

    gpus: int = _setting(1, "GPUs of a training, all in one pod; 0 trains on CPUs")
    label_gpus: int = _setting(1, "GPUs of each shard that is auto-labelled, 0 or 1")
    accelerator: str = _setting("nvidia.com/gpu", "resource that GPUs are asked for as")
    gpu_nodes: dict[str, str] = _setting(
        {"nvidia.com/gpu.present": "true"}, "labels of the nodes for train and auto_label"
    )
    gpu_tolerations: tuple[Toleration, ...] = _setting((Toleration(),), "taints that they accept")
    shared_memory: str = _setting(
        "8Gi", "memory that processes of train and auto_label share, at /dev/shm; part of their memory"
    )
    workers: int = _setting(8, "processes that load pictures while training")
    shards: int = _setting(4, "parts in which pictures are auto-labelled side by side")

    train: Resources = _setting(
        Resources(cpu="8", memory="24Gi", cpu_limit="16", memory_limit="48Gi", hours=48.0), "for train"
    )
    auto_label: Resources = _setting(
        Resources(cpu="4", memory="8Gi", cpu_limit="8", memory_limit="24Gi", hours=12.0),
        "for each auto_label",
    )
    steps: Resources = _setting(
        Resources(cpu="1", memory="4Gi", cpu_limit="4", memory_limit="12Gi", hours=12.0),
        "for each other step",
    )

    pictures: str = _setting(
        "",
        "where pictures are written once and shared by all runs: s3://BUCKET/PREFIX, or a folder of the "
        "workspace; empty hands them from step to step",
    )
    scratch: str = _setting("100Gi", "disk for pictures and sources that a step fetches")
    workspace: str = _setting(
        "", f"claim of a volume that many nodes write, mounted at {WORKSPACE}; empty for none"
    )
    checkpoints: str = _setting(
        "",
        "where a killed training goes on from: s3://BUCKET/PREFIX, or a folder of the workspace; empty takes "
        f"{WORKSPACE}/checkpoints with a workspace, and lets it begin anew without",
    )
    store_secret: str = _setting(
        "lidloop-s3",
        "Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the object store; empty for none",
    )
    store_endpoint: str = _setting("", "address of the S3 server; empty for Amazon's")
    store_region: str = _setting("", "its region; empty for the server's default")
    registry: str = _setting("http://lidloop-registry.lidloop.svc", "address of the model registry")
    registry_secret: str = _setting(
        "lidloop-registry-user",
        "Secret with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; empty for none",
    )
    ca_config_map: str = _setting(
        "", "ConfigMap whose ca.crt signs the store and the registry; empty for public CAs"
    )
    models: str = _setting(
        "",
        "where the champion's bundle goes at the end, a prefix for each version: s3://BUCKET/PREFIX; empty "
        "deploys nothing",
    )
    service: str = _setting("lidloop-serving", "InferenceService that is to serve it")
    service_namespace: str = _setting("lidloop", "namespace of that")
    canary: int = _setting(
        -1, "share of the traffic in percent that it gets beside the old one; -1: it serves all"
    )
    environment: dict[str, str] = _setting({}, "more environment variables of all steps; no secrets")

    retries: int = _setting(3, "times that train and auto_label are tried again, for they may be preempted")
    step_retries: int = _setting(1, "times that each other step is tried again")
    retry_wait: str = _setting("60s", "wait before the first retry; each further one is twice as long")
    retry_wait_most: str = _setting("1800s", "longest wait")
    cached: tuple[str, ...] = _setting(
        ("auto_label", "nms_filter", "evaluate"),
        "steps whose results KFP may take from a run before with the same inputs: "
        f"{', '.join(CACHEABLE)}. convert: only where every run says sources_fingerprint, as `lidloop "
        "submit` does. train: the seed is an input, and GPUs add up in no fixed order",
    )
    user: int = _setting(10001, "user and group that steps run as; not root")
    run_hours: float = _setting(336.0, "a run that takes longer is ended")
    keep_hours: float = _setting(168.0, "how long KFP keeps the pods and workflow of a run that has ended")

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ClusterError("; ".join(problems))

    @property
    def checkpoints_place(self) -> str:
        """Where trainings keep what they need to go on; empty for nowhere."""
        return self.checkpoints or (f"{WORKSPACE}/checkpoints" if self.workspace else "")

    @property
    def device(self) -> str:
        """The device of a training: all GPUs of its pod."""
        return ",".join(map(str, range(self.gpus))) if self.gpus else "cpu"

    def resources(self, step: str) -> Resources:
        """What a step is given."""
        return self.train if step == "train" else self.auto_label if step == "auto_label" else self.steps

    def _problems(self) -> Iterator[str]:
        for name, least, most in (
            ("gpus", 0, 64), ("label_gpus", 0, 1), ("workers", 0, 256), ("shards", 1, 10_000),
            ("retries", 0, 100), ("step_retries", 0, 100), ("user", 1, 2**31 - 1),
            ("run_hours", 0.1, 24 * 365), ("keep_hours", 0.1, 24 * 365), ("canary", -1, 100),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                yield f"{name} must be {least} to {most}, not {getattr(self, name)}"
        for name in ("shared_memory", "scratch"):
            if not _AMOUNT.fullmatch(getattr(self, name)):
                yield f"{name} must be an amount such as 8Gi, not {getattr(self, name)!r}"
        for name in ("retry_wait", "retry_wait_most"):
            if not _DURATION.fullmatch(getattr(self, name)):
                yield f"{name} must be seconds such as 60s, not {getattr(self, name)!r}"
        if self.models and not self.models.startswith("s3://"):
            yield f"models must be s3://BUCKET/PREFIX, which KServe reads, not {self.models!r}"
        for name in (
            "workspace", "store_secret", "registry_secret", "ca_config_map", "service", "service_namespace"
        ):  # fmt: skip
            if getattr(self, name) and not _NAME.fullmatch(getattr(self, name)):
                yield f"{name} cannot be a name on Kubernetes: {getattr(self, name)!r}"
        for name in ("image", "gpu_image"):
            tag = getattr(self, name).rpartition("/")[2]
            if ":" not in tag or tag.endswith(":latest"):
                yield f"{name} needs a version or digest, not {getattr(self, name)!r}"
        if self.pull_policy not in ("Always", "IfNotPresent", "Never"):
            yield f"pull_policy must be Always, IfNotPresent or Never, not {self.pull_policy!r}"
        for step in self.cached:
            if step not in CACHEABLE:
                yield f"cached: {step} cannot be, only {', '.join(CACHEABLE)}"
        for toleration in self.gpu_tolerations:
            if toleration.effect not in _EFFECTS:
                yield f"gpu_tolerations: {toleration.effect!r} is no effect, as {', '.join(_EFFECTS)} are"
        for name in ("pictures", "checkpoints"):
            place = getattr(self, name)
            if place and not place.startswith(("s3://", f"{WORKSPACE}/")):
                yield f"{name} must be s3://BUCKET/PREFIX or a folder below {WORKSPACE}, not {place!r}"
            elif place.startswith("/") and not self.workspace:
                yield f"{name} lie in the workspace, and no workspace is given"
        for name in sorted(set(self.environment) & SECRET_NAMES):
            yield f"environment: {name} is a secret; name its Secret as store_secret or registry_secret"
        for kind in ("train", "auto_label", "steps"):
            given = getattr(self, kind)
            for name, form in (
                ("cpu", _CPU),
                ("cpu_limit", _CPU),
                ("memory", _AMOUNT),
                ("memory_limit", _AMOUNT),
            ):
                if not form.fullmatch(getattr(given, name)):
                    yield f"{kind}.{name} is no amount that Kubernetes knows: {getattr(given, name)!r}"
            if given.hours <= 0:
                yield f"{kind}.hours must be above 0, not {given.hours}"


STORE_NAMES: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
REGISTRY_NAMES: Final = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
SECRET_NAMES: Final = frozenset(
    {*STORE_NAMES, *REGISTRY_NAMES, "AWS_SESSION_TOKEN", "MLFLOW_TRACKING_TOKEN"}
)  # fmt: skip
"""Environment variables that hold a secret, so that they never stand in a compiled pipeline."""


def read_cluster(path: Path) -> ClusterSettings:
    """Read settings from a YAML file; what it leaves out keeps its default.

    Raises:
        ClusterError: where it cannot be read, names what is not a setting, or a value cannot be.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ClusterError(f"{path} cannot be read as YAML: {error}") from error
    try:
        return _build(ClusterSettings, content or {}, "")
    except ClusterError as error:
        raise ClusterError(f"{path}: {error}") from None


def describe() -> Iterator[tuple[str, Any, str]]:
    """Every setting with its default and what it means; parts of a setting as ``train.cpu``."""
    for entry in fields(ClusterSettings):
        default = _default(entry)
        if isinstance(default, Resources):
            for part in fields(Resources):
                text = f"{part.metadata['text']}, {entry.metadata['text']}"
                yield f"{entry.name}.{part.name}", getattr(default, part.name), text
        else:
            yield entry.name, default, entry.metadata["text"]


def example() -> str:
    """A YAML file of all settings with their defaults, each under what it means."""
    lines = [
        "# Settings of a cluster for `lidloop compile --cluster FILE`. What is left out keeps its default."
    ]
    for entry in fields(ClusterSettings):
        default = _plain(_default(entry))
        lines += ["", f"# {entry.metadata['text']}"]
        lines.append(yaml.safe_dump({entry.name: default}, sort_keys=False, width=100).rstrip())
    return "\n".join(lines) + "\n"


def _build(kind: type, content: Any, where: str) -> Any:
    """A settings dataclass from plain values, every name and type checked."""
    if not isinstance(content, Mapping):
        raise ClusterError(f"{where or 'the file'} must be names with values")
    hints = get_type_hints(kind)
    strange = sorted(set(map(str, content)) - set(hints))
    if strange:
        raise ClusterError(f"there is no setting {where}{strange[0]}; there are {', '.join(hints)}")
    base = {entry.name: entry for entry in fields(ClusterSettings)}
    values = {}
    for name, value in content.items():
        if hints[name] is Resources and isinstance(value, Mapping):
            # Parts that are left out are those of this step, not of any.
            value = {**_plain(_default(base[name])), **value}
        values[name] = _typed(hints[name], value, f"{where}{name}")
    return kind(**values)


def _typed(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return _build(hint, value, f"{where}.")  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ClusterError(f"{where} must be a list")
        return tuple(_typed(get_args(hint)[0], entry, where) for entry in value)
    if get_origin(hint) is dict:
        if not isinstance(value, Mapping) or not all(
            isinstance(part, str) for item in value.items() for part in item
        ):
            raise ClusterError(f"{where} must be names with texts; put true and numbers in quotation marks")
        return dict(value)
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # cpu: 4
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        kind = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}[hint]
        raise ClusterError(f"{where} must be {kind}, not {value!r}")
    return value


def _default(entry: Field[Any]) -> Any:
    return entry.default if entry.default is not MISSING else entry.default_factory()  # type: ignore[misc]


def _plain(value: Any) -> Any:
    """A value as YAML has it."""
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if is_dataclass(value):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
    return value
