"""Runs on a Kubeflow Pipelines host, through the command line, against a mock of its API server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click.testing
import pytest
import typer
from typer.testing import CliRunner

from lidloop.data.sources import fingerprint
from lidloop.errors import LidloopError
from pipelines.cli import host as host_commands
from pipelines.cli.run import register
from pipelines.kubeflow import access as kubeflow_access
from pipelines.kubeflow.errors import HostError, PipelineUnknown, RunExists, RunUnknown
from pipelines.kubeflow.host import KubeflowHost
from pipelines.settings import SettingsError
from tests.servers.buckets import Bucket
from tests.servers.mock_kfp import MockKfp, running
from tests.servers.proxies import Authority

GOLDEN = Path(__file__).parents[3] / "pipelines" / "compiled" / "refinement.yaml"
CLUSTER = GOLDEN.with_name("cluster.yaml")
SOURCE = ("-s", "yolo:/workspace/faces")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the host, token and profile of the developer's environment; poll runs without a pause."""
    for name in ("KF_PIPELINES_ENDPOINT", "KF_PIPELINES_SA_TOKEN_PATH", "KF_PIPELINES_UI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(host_commands, "EVERY", 0.01)
    monkeypatch.setattr(kubeflow_access, "TOKEN", tmp_path / "no-token")


@pytest.fixture
def kfp() -> Iterator[MockKfp]:
    with running() as mock:
        yield mock


Cli = Callable[..., click.testing.Result]


@pytest.fixture
def cli(kfp: MockKfp) -> Cli:
    """Return a function that runs a command; its exception is raised."""
    app = typer.Typer(rich_markup_mode="rich")
    register(app)

    def run(*arguments: str | Path, code: int = 0, host: str = "") -> click.testing.Result:
        environment = {"KF_PIPELINES_ENDPOINT": host or kfp.url, "COLUMNS": "200", "TERM": "dumb"}
        result = CliRunner().invoke(app, [str(a) for a in arguments], env=environment)
        if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


def submit(cli: Cli, *more: str | Path, run: str = "may") -> dict[str, Any]:
    result = cli("submit", *SOURCE, "--pipeline", GOLDEN, "--run", run, "--json", *more)
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_submit_status_and_logs(cli: Cli, kfp: MockKfp) -> None:
    sent = submit(cli, "-p", "epochs=3", "-p", "shards=2", "-p", "base_weights=s3://models/base.pt")
    (run,) = kfp.runs.values()
    assert (run["run_id"], run["display_name"]) == (sent["id"], "may")
    assert sent["link"] == f"{kfp.url}/#/runs/details/{sent['id']}"
    assert run["runtime_config"]["parameters"] == {
        "sources": ["yolo:/workspace/faces"],
        "epochs": 3,
        "shards": ["0/2", "1/2"],
        "base_weights": "s3://models/base.pt",
        "run": "may",
        "sources_fingerprint": "may",
    }
    kfp.go_on(sent["id"], "RUNNING")
    kfp.add_step(
        sent["id"], "convert", "Succeeded", log="I0101 launcher\nlidloop [convert] INFO 9 of 9 pictures\n"
    )
    kfp.add_step(sent["id"], "train", "Succeeded", log="lidloop [train 0] INFO epoch 1 of 3\n")
    kfp.add_step(
        sent["id"],
        "train-2",
        "Failed",
        "Failed",
        log="lidloop [train 1] ERROR no face\n",
        error="main: Error (exit code 1): no face",
    )
    kfp.go_on(sent["id"], "FAILED", error="train-2 failed")
    told = json.loads(cli("status", "may", "--json").stdout)
    assert [(task["name"], task["state"]) for task in told["tasks"]] == [
        ("convert", "SUCCEEDED"), ("train", "SUCCEEDED"), ("train-2", "FAILED"), ("train-2", "FAILED"),
    ]  # fmt: skip
    assert told["error"] == "train-2 failed"
    assert told["ended"] == "2026-01-05T05:00:00+00:00"
    shown = cli("status", sent["id"]).stdout
    assert re.search(r"train-2 +FAILED .*exit code 1", shown)
    assert cli("logs", "may").stdout.splitlines() == [
        "convert: INFO 9 of 9 pictures", "train: INFO epoch 1 of 3", *["train-2: ERROR no face"] * 2,
    ]  # fmt: skip
    assert cli("logs", "may", "--step", "train-2").stdout == "train-2: ERROR no face\n" * 2
    assert len(cli("logs", "may", "--step", "train").stdout.splitlines()) == 3, "of all iterations and tries"
    assert "convert: I0101 launcher" in cli("logs", "may", "--all").stdout
    line = json.loads(cli("logs", "may", "--step", "convert", "--json").stdout)
    assert line == {"task": "convert", "level": "INFO", "text": "9 of 9 pictures"}


def test_a_second_run_of_a_name_is_rejected(cli: Cli, kfp: MockKfp) -> None:
    first = submit(cli)
    with pytest.raises(RunExists, match="give another --run") as caught:
        submit(cli)
    assert caught.value.id == first["id"]
    assert len(kfp.runs) == 1
    submit(cli, "--experiment", "other")
    assert len(kfp.runs) == 2


@pytest.mark.parametrize(("state", "code"), [("SUCCEEDED", 0), ("FAILED", 1), ("CANCELED", 1)])
def test_wait_returns_the_final_state_as_exit_status(cli: Cli, kfp: MockKfp, state: str, code: int) -> None:
    id = submit(cli)["id"]
    kfp.go_on(id, state)
    kfp.failing += [200, 500, 503]  # a host that is out of order for a moment is asked again
    told = json.loads(cli("status", id, "--wait", "--json", code=code).stdout)
    assert told["state"] == state


def test_status_lists_the_newest_runs(cli: Cli, kfp: MockKfp) -> None:
    for name in ("a", "b", "c"):
        submit(cli, run=name)
    kfp.go_on(next(iter(kfp.runs)), "SUCCEEDED")
    assert [run["name"] for run in json.loads(cli("status", "--json", "--limit", "2").stdout)] == ["c", "b"]
    shown = cli("status").stdout
    assert re.search(r"a +SUCCEEDED +2026-01-05 .* 2 h 00 min", shown)


def test_an_uploaded_pipeline_is_started_by_its_name(cli: Cli, kfp: MockKfp, tmp_path: Path) -> None:
    file = tmp_path / "loop.yaml"
    cli("compile", file, "--cluster", CLUSTER, "--iterations", "1")
    cli("upload", file, "--version", "1")
    newest = json.loads(cli("upload", file, "--version", "2", "--json").stdout)
    assert len(kfp.pipelines) == 1
    cli("submit", *SOURCE, "--run", "june", "-p", "seed=4")
    (run,) = kfp.runs.values()
    assert "pipeline_spec" not in run
    assert run["pipeline_version_reference"]["pipeline_version_id"] == newest["id"]
    with pytest.raises(HostError, match="version 2 exists already"):
        cli("upload", file, "--version", "2")
    with pytest.raises(HostError, match="no parameter epoch"):
        cli("submit", *SOURCE, "-p", "epoch=4")


def test_an_unknown_pipeline_is_reported(cli: Cli) -> None:
    with pytest.raises(PipelineUnknown, match="upload one with `lidloop upload`"):
        cli("submit", *SOURCE)


def test_submit_compiles_for_a_cluster(cli: Cli, kfp: MockKfp) -> None:
    cli("submit", *SOURCE, "--cluster", CLUSTER, "--iterations", "1")
    (run,) = kfp.runs.values()
    executors = run["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"][
        "executors"
    ]
    assert executors["exec-train"]["pvcMount"]
    with pytest.raises(LidloopError, match="not both"):
        cli("submit", *SOURCE, "--cluster", CLUSTER, "--pipeline", GOLDEN)


def test_dry_runs_send_nothing(cli: Cli, kfp: MockKfp) -> None:
    common = (*SOURCE, "--pipeline", GOLDEN, "--dry-run")
    short = json.loads(cli("submit", *common, "--run", "r").stdout)
    assert short["request"]["display_name"] == "r"
    assert short["request"]["runtime_config"]["parameters"]["sources"] == ["yolo:/workspace/faces"]
    assert "pipeline_spec" not in short["request"]
    whole = json.loads(cli("submit", *common, "--json").stdout)
    assert whole["request"]["pipeline_spec"]["pipelineInfo"]["name"] == "lidloop-refinement"
    with pytest.raises(HostError, match="compile with --cluster"):
        cli("recurring", "add", "weekly", *common, "--cron", "0 3 * * 1")
    cluster = GOLDEN.with_name("refinement-cluster.yaml")
    cli("recurring", "add", "weekly", *SOURCE, "--pipeline", cluster, "--dry-run", "--cron", "0 3 * * 1")
    assert not kfp.asked


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("-p", "epochs"), LidloopError, "NAME=VALUE"),
        (("-p", "epochs=0"), SettingsError, "--epochs must be 1 or more"),
        (("-p", "imgsz=100"), SettingsError, "multiple of 32"),
        (("-p", "epochs=many"), SettingsError, "epochs must be a whole number, not 'many'"),
        (("-p", "keep_splits=perhaps"), SettingsError, "keep_splits must be true or false"),
        (("-p", "shards=[1]"), None, ""),
        (("-p", "epoch=4"), HostError, "no parameter epoch; it has base_weights"),
        (("-p", "run=x"), LidloopError, "option of its own"),
        (("-s", "voc:x"), SettingsError, "is not a source"),
        (("-s", "yolo:/workspace/faces"), SettingsError, "given twice"),
    ],
)
def test_parameters_are_checked_before_anything_is_sent(
    cli: Cli, kfp: MockKfp, arguments: tuple[str, ...], error: type[Exception] | None, says: str
) -> None:
    if error is None:
        submit(cli, *arguments)
        return
    with pytest.raises(error, match=says):
        submit(cli, *arguments)
    assert not kfp.asked


def test_schedules_are_added_listed_and_deleted(cli: Cli, kfp: MockKfp) -> None:
    common = (*SOURCE, "--pipeline", GOLDEN.with_name("refinement-cluster.yaml"))
    cli("recurring", "add", "weekly", *common, "--cron", "0 3 * * 1", "-p", "epochs=5")
    (schedule,) = kfp.recurring.values()
    assert schedule["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * 1"
    assert schedule["max_concurrency"] == "1"
    assert schedule["no_catchup"] is True
    parameters = schedule["runtime_config"]["parameters"]
    assert (parameters["run"], parameters["epochs"]) == ("", 5)
    listed = json.loads(cli("recurring", "list", "--json").stdout)
    assert [(entry["name"], entry["enabled"]) for entry in listed] == [("weekly", True)]
    assert "weekly" in cli("recurring", "list").stdout
    with pytest.raises(HostError, match="already"):
        cli("recurring", "add", "weekly", *common, "--cron", "0 3 * * 1")
    with pytest.raises(HostError, match="needs six"):
        cli("recurring", "add", "daily", *common, "--cron", "3 o'clock")
    cli("recurring", "delete", "weekly")
    assert not kfp.recurring
    with pytest.raises(LidloopError, match="no schedule 'weekly'"):
        cli("recurring", "delete", "weekly")


def test_a_token_is_read_anew_for_every_request(cli: Cli, kfp: MockKfp, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    kfp.token = "first"
    host = KubeflowHost.from_settings(kfp.url, token_file=file)
    assert host.runs() == []
    kfp.token = "second"
    with pytest.raises(HostError, match="rejects the credentials") as caught:
        host.runs()
    assert "first" not in str(caught.value)
    file.write_text("second")
    assert host.runs() == []
    cli("status", "--token-file", file)


def test_a_pod_uses_its_mounted_token(
    cli: Cli, kfp: MockKfp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kfp.token = "projected"
    (tmp_path / "projected").write_text("projected")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "projected"))
    cli("status")


def test_a_multi_user_host_gets_the_namespace(cli: Cli, kfp: MockKfp) -> None:
    submit(cli, "--namespace", "ward")
    assert [entry["namespace"] for entry in kfp.experiments.values()] == ["ward"]
    assert "may" in cli("status", "--namespace", "ward").stdout


def test_a_cached_step_has_no_log(cli: Cli, kfp: MockKfp) -> None:
    id = submit(cli)["id"]
    kfp.add_step(id, "convert", "Skipped")
    kfp.add_step(id, "train", "Failed", "Running", log="lidloop [train 0] INFO going on\n")
    kfp.add_step(id, "nms-filter", "Pending")
    assert cli("logs", id).stdout.splitlines() == ["train: INFO going on"] * 2
    states = [
        (task["name"], task["state"]) for task in json.loads(cli("status", id, "--json").stdout)["tasks"]
    ]
    assert states == [
        ("convert", "SKIPPED"), ("train", "FAILED"), ("train", "RUNNING"), ("nms-filter", "PENDING"),
    ]  # fmt: skip


def test_a_session_cookie_is_sent(cli: Cli, kfp: MockKfp, tmp_path: Path) -> None:
    kfp.cookie = "authservice_session=abc"
    with pytest.raises(HostError, match="--cookies-file"):
        cli("status")
    (tmp_path / "cookies").write_text(kfp.cookie + "\n")
    cli("status", "--cookies-file", tmp_path / "cookies")
    assert all(not path.startswith("/dex") for _, path in kfp.asked), "a log-in page is not followed"


def test_a_private_ca_is_trusted_when_given(cli: Cli, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with running(tls=authority.server()) as kfp:
        with pytest.raises(HostError, match="--ca-file"):
            cli("status", host=kfp.url)
        cli("status", "--ca-file", authority.file, host=kfp.url)


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("kfp.example.org", "does not have the form"),
        ("ftp://kfp.example.org", "does not have the form"),
        ("https://user:secret@kfp.example.org", "contains a user or password"),
        ("http://127.0.0.1:9", "cannot be reached"),
    ],
)
def test_invalid_host_addresses_are_rejected(cli: Cli, host: str, says: str) -> None:
    with pytest.raises(HostError, match=says) as caught:
        cli("status", host=host)
    assert "secret" not in str(caught.value)


def test_a_missing_host_is_reported() -> None:
    with pytest.raises(HostError, match="KF_PIPELINES_ENDPOINT"):
        KubeflowHost.from_settings("")


@pytest.mark.parametrize(
    ("status", "says"),
    [(400, "refused"), (403, "does not permit"), (404, "address that of Kubeflow"), (500, "failed")],
)
def test_error_statuses_of_the_host_are_explained(cli: Cli, kfp: MockKfp, status: int, says: str) -> None:
    kfp.failing.append(status)
    with pytest.raises(HostError, match=says) as caught:
        cli("status")
    assert "out of order" in str(caught.value)


def test_only_reading_requests_are_retried(cli: Cli, kfp: MockKfp) -> None:
    submit(cli, run="first")
    kfp.failing += [503, 503]
    cli("status")
    before = len(kfp.asked)
    submit(cli, run="second")
    starts = [entry for entry in kfp.asked[before:] if entry == ("POST", "/apis/v2beta1/runs")]
    assert len(starts) == 1


def test_a_failed_start_is_not_retried(cli: Cli, kfp: MockKfp, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> dict[str, Any]:
        from tests.servers.mock_kfp import Refused

        raise Refused(503, "no leader")

    monkeypatch.setattr(kfp, "create_run", fail)
    with pytest.raises(HostError, match="no leader"):
        submit(cli)
    assert kfp.asked.count(("POST", "/apis/v2beta1/runs")) == 1


def test_a_log_in_page_is_recognised(cli: Cli, kfp: MockKfp) -> None:
    kfp.login_page = True
    with pytest.raises(HostError, match="is not Kubeflow Pipelines"):
        cli("status")


def test_unknown_runs_and_missing_logs_are_reported(cli: Cli, kfp: MockKfp) -> None:
    with pytest.raises(RunUnknown, match="neither as id nor as name"):
        cli("status", "nothing")
    id = submit(cli)["id"]
    kfp.add_step(id, "convert", "Succeeded")
    with pytest.raises(HostError, match="the log of loop-retry-system-container-impl-5"):
        cli("logs", id)


def test_sources_in_a_store_give_the_fingerprint(cli: Cli, kfp: MockKfp, bucket: Bucket) -> None:
    bucket.put("raw/a.pts", b"x")
    source = f"ibug:{bucket.address('raw')}"
    cli("submit", "-s", source, "--pipeline", GOLDEN, "--run", "a")
    given = [run["runtime_config"]["parameters"]["sources_fingerprint"] for run in kfp.runs.values()]
    assert given == [fingerprint([source])]


def test_sources_in_an_unreachable_store_are_always_read(
    cli: Cli, kfp: MockKfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/nowhere")
    result = cli("submit", "-s", "ibug:s3://raw/afw", "--pipeline", GOLDEN, "--run", "a")
    assert "reads them again" in result.stderr
    (run,) = kfp.runs.values()
    assert run["runtime_config"]["parameters"]["sources_fingerprint"] == "a"


@pytest.mark.parametrize("command", ["submit", "status", "logs", "upload", "compile"])
def test_help_has_an_example(cli: Cli, command: str) -> None:
    text = cli(command, "--help").stdout
    assert f"lidloop {command}" in text.replace("Usage: root", "")
    assert "Example" in text


def test_compile_prints_the_cluster_settings(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(cli("compile", "--print-cluster").stdout)
    cli("compile", tmp_path / "loop.yaml", "--cluster", tmp_path / "cluster.yaml", "--iterations", "1")
    with pytest.raises(LidloopError, match="--cluster"):
        cli("compile", tmp_path / "l.yaml", "--cluster", tmp_path / "cluster.yaml", "--image", "a:1")
    with pytest.raises(LidloopError, match="give the file"):
        cli("compile")
