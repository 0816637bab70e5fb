"""Settings of a cluster, and their effect on the compiled pipeline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as platform
from kfp.pipeline_spec import pipeline_spec_pb2 as spec

from pipelines.cluster import (
    CACHEABLE,
    GPU_STEPS,
    SECRET_NAMES,
    STEPS,
    ClusterError,
    ClusterSettings,
    Resources,
)
from pipelines.cluster_file import describe, example, read_cluster
from pipelines.refinement import compile_pipeline
from tests.manifests.pod_security import restricted
from tests.manifests.schemas import KUBERNETES, errors
from tests.pipelines.kfp_pod import pod

COMPILED = Path(__file__).parents[2] / "pipelines" / "compiled"
SETTINGS = COMPILED / "cluster.yaml"
GOLDEN = COMPILED / "refinement-cluster.yaml"


class Compiled:
    """A compiled pipeline, by steps of its first iteration."""

    def __init__(self, path: Path) -> None:
        self.pipeline, self.platform = yaml.safe_load_all(path.read_text())
        self.kubernetes = self.platform["platforms"]["kubernetes"]

    def container(self, step: str) -> dict[str, Any]:
        executors = self.pipeline["deploymentSpec"]["executors"]
        container: dict[str, Any] = executors[f"exec-{step.replace('_', '-')}"]["container"]
        return container

    def pod(self, step: str) -> dict[str, Any]:
        pod: dict[str, Any] = self.kubernetes["deploymentSpec"]["executors"][f"exec-{step.replace('_', '-')}"]
        return pod

    def tasks(self, step: str) -> list[dict[str, Any]]:
        """Tasks of the step in all iterations."""
        name = step.replace("_", "-")
        found = []
        for component in [self.pipeline["root"], *self.pipeline["components"].values()]:
            for task in component.get("dag", {}).get("tasks", {}).values():
                if task["componentRef"]["name"].removeprefix("comp-").rstrip("-0123456789") == name:
                    found.append(task)
        return found

    def environment(self, step: str) -> dict[str, str]:
        return {entry["name"]: entry["value"] for entry in self.container(step).get("env", [])}

    def secrets(self, step: str) -> set[str]:
        return {
            key["envVar"] for secret in self.pod(step).get("secretAsEnv", []) for key in secret["keyToEnv"]
        }

    @property
    def defaults(self) -> dict[str, Any]:
        parameters = self.pipeline["root"]["inputDefinitions"]["parameters"]
        return {name: entry.get("defaultValue") for name, entry in parameters.items()}


def compiled(folder: Path, settings: ClusterSettings, iterations: int = 1) -> Compiled:
    compile_pipeline(folder / "p.yaml", iterations, cluster=settings)
    return Compiled(folder / "p.yaml")


@pytest.fixture(scope="module")
def golden() -> Compiled:
    return Compiled(GOLDEN)


def test_the_compiled_pipeline_is_the_one_in_the_repository(tmp_path: Path) -> None:
    fresh = tmp_path / "fresh.yaml"
    compile_pipeline(fresh, 2, cluster=read_cluster(SETTINGS))
    assert fresh.read_text() == GOLDEN.read_text(), (
        "the pipeline changed: look at the difference, then `lidloop compile "
        "pipelines/compiled/refinement-cluster.yaml --iterations 2 --cluster pipelines/compiled/cluster.yaml`"
    )


def test_kfp_can_parse_the_compiled_pipeline(golden: Compiled) -> None:
    """Both documents parse as KFP's own messages, which refuse unknown fields."""
    json_format.ParseDict(golden.pipeline, spec.PipelineSpec())
    json_format.ParseDict(golden.platform, spec.PlatformSpec())
    executors = golden.kubernetes["deploymentSpec"]["executors"]
    for executor in executors.values():
        json_format.ParseDict(executor, platform.KubernetesExecutorConfig())
    assert set(executors) == set(golden.pipeline["deploymentSpec"]["executors"])


@pytest.mark.parametrize("step", STEPS)
def test_every_step_gets_its_image_resources_and_retries(golden: Compiled, step: str) -> None:
    settings = read_cluster(SETTINGS)
    container, pod = golden.container(step), golden.pod(step)
    given = settings.resources(step)
    assert container["image"] == (settings.gpu_image if step in GPU_STEPS else settings.image)
    assert container["resources"]["resourceCpuRequest"] == given.cpu
    assert container["resources"]["resourceCpuLimit"] == given.cpu_limit
    assert container["resources"]["resourceMemoryRequest"] == given.memory
    assert container["resources"]["resourceMemoryLimit"] == given.memory_limit
    assert pod["activeDeadlineSeconds"] == str(round(given.hours * 3600))
    assert pod["securityContext"] == {"runAsUser": "10001", "runAsGroup": "10001", "runAsNonRoot": True}
    assert {"name": "LIDLOOP_RUN_ID", "fieldPath": "metadata.labels['pipeline/runid']"} in pod[
        "fieldPathAsEnv"
    ]
    assert pod["podMetadata"]["labels"]["app.kubernetes.io/component"] == step.replace("_", "-")
    assert len(golden.tasks(step)) == (1 if step == "convert" else 2)
    for task in golden.tasks(step):
        retries = task["retryPolicy"]
        assert retries["maxRetryCount"] == (settings.retries if step in GPU_STEPS else settings.step_retries)
        assert retries["backoffDuration"] == "60s"
        assert task["cachingOptions"].get("enableCache", False) is (step in settings.cached)
    assert not SECRET_NAMES & set(golden.environment(step))


def test_the_champion_is_deployed_if_models_is_set(tmp_path: Path, golden: Compiled) -> None:
    assert "exec-deploy" not in golden.pipeline["deploymentSpec"]["executors"], "off by default"
    made = compiled(tmp_path, ClusterSettings(models="s3://hospital/models/lidloop", canary=10), 2)
    tasks = made.tasks("deploy")
    assert len(tasks) == 2, "wherever the loop may end"
    for task in tasks:
        parameters = task["inputs"]["parameters"]
        given = {
            name: entry["runtimeValue"]["constant"]
            for name, entry in parameters.items()
            if "runtimeValue" in entry
        }
        assert given == {
            "models": "s3://hospital/models/lidloop", "service": "lidloop-serving", "namespace": "lidloop",
            "canary": 10,
        }  # fmt: skip
        assert "promote" in str(task["inputs"]["artifacts"]["after"]), "after the gate"
    assert made.secrets("deploy") >= {"AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD"}
    with pytest.raises(ClusterError, match="models must be s3://"):
        ClusterSettings(models="runs/models")


@pytest.mark.parametrize("version", KUBERNETES)
def test_pods_are_valid_and_meet_pod_security_restricted(
    tmp_path: Path, golden: Compiled, version: str
) -> None:
    other = compiled(tmp_path, ClusterSettings(gpus=0, pull_secrets=("registry-key",)))
    for pipeline in (golden, other):
        for step in STEPS:
            made = pod(pipeline.container(step), pipeline.pod(step))
            assert errors(made, version) == []
            assert restricted(made) == []


def test_gpu_steps_get_gpus_nodes_and_shared_memory(golden: Compiled) -> None:
    assert {step for step in STEPS if "accelerator" in golden.container(step)["resources"]} == set(GPU_STEPS)
    for step, count in (("train", "2"), ("auto_label", "1")):
        accelerator = golden.container(step)["resources"]["accelerator"]
        assert (accelerator["resourceType"], accelerator["resourceCount"]) == ("nvidia.com/gpu", count)
        pod = golden.pod(step)
        assert pod["nodeSelector"]["labels"] == {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"}
        assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
        shared = next(v for v in pod["emptyDirMounts"] if v["mountPath"] == "/dev/shm")
        assert shared == {
            "volumeName": "shared-memory", "mountPath": "/dev/shm", "medium": "Memory", "sizeLimit": "8Gi",
        }  # fmt: skip
    assert golden.defaults["device"] == "0,1", "a training takes all GPUs of its pod"
    (label,) = {
        task["inputs"]["parameters"]["device"]["runtimeValue"]["constant"]
        for task in golden.tasks("auto_label")
    }
    assert label == "0", "a shard takes the one of its own"


def test_without_gpus_no_step_asks_for_one(tmp_path: Path) -> None:
    cpu = compiled(tmp_path, ClusterSettings(gpus=0, label_gpus=0))
    for step in GPU_STEPS:
        assert "accelerator" not in cpu.container(step)["resources"]
        assert "nodeSelector" not in cpu.pod(step)
        assert "tolerations" not in cpu.pod(step)
    assert cpu.defaults["device"] == "cpu"
    assert cpu.tasks("auto_label")[0]["inputs"]["parameters"]["device"]["runtimeValue"]["constant"] == "cpu"


def test_secrets_go_to_the_steps_that_need_them(golden: Compiled) -> None:
    store = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    registry = {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}
    assert {step: golden.secrets(step) for step in STEPS} == {
        "convert": store,
        "train": store,
        "auto_label": store,
        "nms_filter": set(),
        "evaluate": set(),
        "register": registry,
        "promote": store | registry,
        "report": store | registry,
    }


def test_only_steps_with_pictures_see_the_workspace(golden: Compiled) -> None:
    mounted = {step for step in STEPS if golden.pod(step).get("pvcMount")}
    assert mounted == {"convert", "train", "auto_label", "promote", "report"}
    (mount,) = golden.pod("train")["pvcMount"]
    assert (mount["constant"], mount["mountPath"]) == ("lidloop-workspace", "/workspace")
    assert golden.defaults["checkpoints"] == "/workspace/checkpoints"
    assert golden.environment("train")["TMPDIR"] == "/scratch"
    assert golden.environment("train")["AWS_ENDPOINT_URL_S3"] == "https://s3.example.org"
    assert golden.environment("train")["LIDLOOP_S3_USE_PATH_STYLE"] == "true"
    assert golden.environment("register")["REQUESTS_CA_BUNDLE"] == "/etc/lidloop/ca/ca.crt"


def test_without_a_workspace_nothing_is_mounted_and_no_checkpoint_outlives_a_pod(tmp_path: Path) -> None:
    bare = compiled(tmp_path, ClusterSettings(store_secret="", registry_secret=""))
    assert not any(bare.pod(step).get("pvcMount") for step in STEPS)
    assert not any(bare.secrets(step) for step in STEPS)
    assert bare.defaults["checkpoints"] == ""


def test_checkpoints_in_a_bucket(tmp_path: Path) -> None:
    stored = compiled(tmp_path, ClusterSettings(checkpoints="s3://lidloop/checkpoints"))
    assert stored.defaults["checkpoints"] == "s3://lidloop/checkpoints"


def test_parameter_defaults_come_from_the_cluster(golden: Compiled) -> None:
    expected = {"pictures": "s3://lidloop/pictures", "registry": "https://registry.example.org", "workers": 8,
                "shards": ["0/4", "1/4", "2/4", "3/4"], "run": ""}  # fmt: skip
    assert {name: golden.defaults[name] for name in expected} == expected


def test_runs_have_a_time_out_and_are_deleted(golden: Compiled) -> None:
    assert golden.kubernetes["pipelineConfig"] == {
        "activeDeadlineSeconds": 336 * 3600, "resourceTtlOnCompletion": 168 * 3600
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gpu: 2", "there is no setting gpu"),
        ("train: {cpus: 2}", "there is no setting train.cpus"),
        ("gpus: two", "gpus must be a whole number"),
        ("gpus: true", "gpus must be a whole number"),
        ("gpus: 99", "gpus must be 64 or less, not 99"),
        ("cached: train", "cached must be a list"),
        ("cached: [register]", "register cannot be cached"),
        ("cached: [promote]", "promote cannot be cached"),
        ("train: {memory: 1.5Gi}", "train.memory must be an amount"),
        ("steps: {hours: 0}", "steps.hours must be between 0"),
        ("image: lidloop/steps:latest", "image needs a version"),
        ("image: registry:5000/lidloop/steps", "image needs a version"),
        ("user: 0", "user must be 1 or more"),
        ("pictures: /workspace/pictures", "no workspace is given"),
        ("pictures: /data", "folder below /workspace"),
        ("environment: {AWS_SECRET_ACCESS_KEY: x}", "is a secret"),
        ("environment: {A: true}", "quotation marks"),
        ("gpu_tolerations: [{effect: Never}]", "gpu_tolerations.effect must be NoSchedule"),
        ("retry_wait: 1 minute", "retry_wait must be a number of seconds"),
        ("store_secret: My Secret", "store_secret must be a Kubernetes name"),
        ("- a", "must be a mapping"),
        ("a: [", "cannot be read as YAML"),
    ],
)
def test_invalid_settings_are_named_with_the_file(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(ClusterError, match=says) as caught:
        read_cluster(path)
    assert str(path) in str(caught.value)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ClusterError, match=r"gpus.*user"):
        ClusterSettings(gpus=-1, user=0)


def test_omitted_resources_keep_the_defaults_of_the_step(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("train: {cpu: 32}")
    train = read_cluster(path).train
    assert train == replace(ClusterSettings().train, cpu="32")
    assert train != Resources(cpu="32")


def test_the_example_contains_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(example())
    assert read_cluster(path) == ClusterSettings()
    text = example()
    assert all(meaning.split(", for ")[0] in text or "." in name for name, _, meaning in describe())


def test_steps_with_side_effects_are_not_cacheable() -> None:
    assert not {"register", "promote", "report"} & set(CACHEABLE)
