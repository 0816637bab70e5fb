"""Tests of the whole exporter: with registries that fail, a real Prometheus, and promtool."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lidloop.errors import LidloopError, ModelError, RegistryError, StoreError
from lidloop.exporter.families import BY_NAME
from lidloop.exporter.reader import Reader, reason
from lidloop.exporter.run import Exporter
from lidloop.registry.registry import Registry
from tests.lidloop.exporter.conftest import get, samples, watched

SCRAPED = 'lidloop_exporter_source_up{source="registry"}'


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    pytest.fail(f"timed out waiting for {what}")


@pytest.fixture
def start() -> Iterator[Callable[..., Exporter]]:
    """Function that starts exporters with an interval of 0.1 s; they are stopped at the end."""
    running: list[Exporter] = []

    def make(registry: Path | str, **changes: Any) -> Exporter:
        made = Exporter(**({"registry": str(registry), "interval": 0.1, "port": 0} | changes))
        made.start()
        running.append(made)
        wait_for(lambda: get(made.port, "/readyz")[0] == 200, "readiness")
        return made

    yield make
    for made in running:
        made.stop()


def scraped(exporter: Exporter) -> dict[str, float]:
    status, text = get(exporter.port)
    assert status == 200
    return samples(text)


def test_metrics_follow_the_registry(
    place: Path, register: Callable[..., Registry], start: Callable[..., Exporter], tmp_path: Path
) -> None:
    register(0)
    register(1, watch=watched(1)).promote("1", reason="the first")
    exporter = start(place)
    found = scraped(exporter)
    assert found[SCRAPED] == 1
    assert found['lidloop_champion_info{iteration="0",model="lidloop",run="r",version="1"}'] == 1
    drift = 'lidloop_label_drift{feature="yaw",model="lidloop",pair="human_grown",statistic="psi"}'
    assert found[drift] == 0.3
    assert found['lidloop_labels{iteration="2",model="lidloop",origin="grown",split="val"}'] == 10
    assert abs(found['lidloop_exporter_source_timestamp_seconds{source="registry"}'] - time.time()) < 60
    assert found['lidloop_store_bytes{kind="free",source="registry"}'] > 0
    by_metric = 'lidloop_evaluation{iteration="1",metric="nme",model="lidloop",yardstick="paper"}'
    assert found[by_metric] == pytest.approx(0.098)
    register(2)
    newer = 'lidloop_evaluation{iteration="2",metric="nme",model="lidloop",yardstick="gold"}'
    wait_for(lambda: newer in scraped(exporter), "the new version")
    assert drift not in scraped(exporter), "the newest version has no watch.json"


def test_last_values_stay_while_the_database_is_missing(
    place: Path, register: Callable[..., Registry], start: Callable[..., Exporter]
) -> None:
    register(0)
    exporter = start(place)
    before = scraped(exporter)
    (place / "mlflow.db").rename(place / "moved.db")
    after = wait_for(lambda: (found := scraped(exporter))[SCRAPED] == 0 and found, "the failed reading")
    kept = {name: value for name, value in before.items() if "lidloop_" in name and "exporter" not in name}
    assert kept
    assert {name: after[name] for name in kept if "store" not in name} == {
        name: value for name, value in kept.items() if "store" not in name
    }
    assert after['lidloop_exporter_errors_total{reason="unreachable",source="registry"}'] > 0
    stale = 'lidloop_exporter_source_timestamp_seconds{source="registry"}'
    time.sleep(0.3)
    assert scraped(exporter)[stale] == after[stale], "the timestamp is that of the last successful reading"
    assert not (place / "mlflow.db").exists(), "reading creates no registry"
    assert get(exporter.port, "/livez")[0] == 200
    (place / "moved.db").rename(place / "mlflow.db")
    wait_for(lambda: scraped(exporter)[SCRAPED] == 1, "the restored registry")


def test_an_unreachable_registry_is_reported_without_credentials(
    tmp_path: Path, start: Callable[..., Exporter]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://user:secret@127.0.0.1:{free.getsockname()[1]}"
    exporter = start(uri)
    status, text = get(exporter.port)
    assert status == 200
    assert samples(text)[SCRAPED] == 0
    assert "secret" not in text
    assert "lidloop_labels" not in text
    assert 'lidloop_exporter_source_timestamp_seconds{source="registry"}' not in samples(text)


def test_damaged_versions_are_left_out_and_others_exported(
    place: Path, register: Callable[..., Registry], start: Callable[..., Exporter]
) -> None:
    register(0)
    registry = register(1, watch=watched(1))
    registry._client.set_model_version_tag("lidloop", "1", "lidloop.labels", "{not json")
    next(path for path in (place / "artifacts").rglob("watch.json")).write_text("{}")
    exporter = start(place)
    found = scraped(exporter)
    assert found[SCRAPED] == 1
    assert found['lidloop_exporter_left_out{source="registry"}'] == 2
    assert 'lidloop_evaluation{iteration="1",metric="nme",model="lidloop",yardstick="gold"}' in found
    assert not [name for name in found if name.startswith(("lidloop_label_drift", "lidloop_guard"))]


def test_files_of_a_version_are_read_once(
    place: Path, register: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lidloop.exporter.registry_source import RegistrySource

    register(0)
    read: list[str] = []
    real = Registry.read

    def counted(self: Registry, entry: Any, *arguments: Any, **named: Any) -> Any:
        read.append(entry.version)
        return real(self, entry, *arguments, **named)

    monkeypatch.setattr(Registry, "read", counted)
    source = RegistrySource(str(place), model="lidloop")
    assert source.read().evaluations == source.read().evaluations
    assert read == ["1"]


@pytest.mark.slow
def test_an_mlflow_server_that_is_killed(
    place: Path, register: Callable[..., Registry], start: Callable[..., Exporter], tmp_path: Path
) -> None:
    register(0, watch=watched(0))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{place}/mlflow.db"]
    command += ["--artifacts-destination", str(place / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=environment)
    try:
        exporter = start(f"http://127.0.0.1:{port}")
        wait_for(lambda: scraped(exporter)[SCRAPED] == 1, "the server", 120)
        drift = 'lidloop_guard{guard="grown_share",model="lidloop"}'
        assert scraped(exporter)[drift] == 0.25
        os.killpg(server.pid, signal.SIGKILL)
        wait_for(lambda: scraped(exporter)[SCRAPED] == 0, "its death")
        started = time.monotonic()
        assert scraped(exporter)[drift] == 0.25
        assert time.monotonic() - started < 5, "a scrape waits for no registry"
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_a_stuck_reading_makes_the_reader_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    reader: Reader[None] = Reader("registry", lambda: go_on.wait(30) and None, interval=60)
    reader.start()
    wait_for(lambda: reader._started is not None, "its start")
    assert reader.healthy
    assert reader.state.seconds is None
    monkeypatch.setattr("lidloop.exporter.reader.STUCK", 0.0)
    assert not reader.healthy
    go_on.set()
    wait_for(lambda: reader.state.up, "its end")
    reader.stop()


def test_unexpected_errors_do_not_end_the_reader(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Any] = [KeyError("x"), KeyError("x"), "good"]

    def read() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    reader: Reader[Any] = Reader("runs", read, interval=1)
    for _ in range(3):
        reader.read_once()
    assert (reader.state.reading, reader.state.up, reader.state.errors) == ("good", True, {"other": 2})
    stacks = [record for record in caplog.records if record.exc_info]
    assert len(stacks) == 1, "a repeated error is logged once"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(RegistryError("there is no registry in x: …"), "unreachable", id="folder away"),
        pytest.param(RegistryError("no registry answers at http://x (refused)"), "unreachable", id="port"),
        pytest.param(
            RegistryError("cannot list the versions in the registry x: API request failed with 401"),
            "refused", id="password",
        ),
        pytest.param(RegistryError("…: database is locked. Another program"), "timeout", id="locked"),
        pytest.param(RegistryError("… The sqlite file is damaged or something else"), "damaged", id="sqlite"),
        pytest.param(ModelError("evaluation.json is not …"), "damaged", id="bundle"),
        pytest.param(StoreError("h does not know the access key; check"), "refused", id="S3 key"),
        pytest.param(StoreError("h: no answer in time, on every attempt"), "timeout", id="S3 slow"),
        pytest.param(StoreError("h: connection refused or host unreachable"), "unreachable", id="S3 down"),
        pytest.param(TimeoutError(), "timeout", id="socket"),
        pytest.param(ConnectionResetError(), "unreachable", id="reset"),
        pytest.param(KeyError("x"), "other", id="a bug"),
    ],
)  # fmt: skip
def test_errors_are_classified_by_reason(error: Exception, expected: str) -> None:
    assert reason(error) == expected


@pytest.mark.parametrize(
    ("path", "status"), [("/metrics", 200), ("/livez", 200), ("/readyz", 200), ("/", 404), ("/v1/runs", 404)]
)
def test_paths(path: str, status: int, tmp_path: Path, start: Callable[..., Exporter]) -> None:
    assert get(start(tmp_path / "none").port, path)[0] == status


def test_an_address_in_use_is_rejected(tmp_path: Path, start: Callable[..., Exporter]) -> None:
    port = start(tmp_path / "none").port
    with pytest.raises(LidloopError, match=f"cannot listen on 127.0.0.1, port {port}"):
        Exporter(registry=str(tmp_path / "none"), port=port)


@pytest.mark.prometheus("promtool")
def test_promtool_accepts_the_metrics(
    place: Path, register: Callable[..., Registry], start: Callable[..., Exporter]
) -> None:
    register(0, watch=watched(0)).promote("1", reason="")
    text = get(start(place).port)[1]
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"lidloop_labels", "lidloop_guard", "lidloop_exporter_errors"} <= names
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.prometheus("promtool")
def test_promtool_accepts_every_family_and_the_serving_metrics() -> None:
    serving = pytest.importorskip("serving.metrics").Metrics(window=1, limit=1).exposition().decode()
    own = "".join(
        f"# HELP {f.full_name} {f.help}\n# TYPE {f.full_name} {f.kind}\n{f.full_name} 1\n"
        for f in BY_NAME.values()
    )
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=own + serving, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.prometheus("prometheus")
@pytest.mark.slow
def test_prometheus_scrapes_the_exporter(
    place: Path, register: Callable[..., Registry], start: Callable[..., Exporter], tmp_path: Path
) -> None:
    program = "prometheus"
    register(0, watch=watched(0))
    target = f"127.0.0.1:{start(place).port}"
    config = {"scrape_configs": [{"job_name": "lidloop", "scrape_interval": "1s",
                                  "static_configs": [{"targets": [target]}]}]}  # fmt: skip
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        program,
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    command += [f"--storage.tsdb.path={tmp_path / 'data'}"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:

        def ask(query: str) -> list[Any]:
            try:
                status, text = get(port, f"/api/v1/query?query={urllib.parse.quote(query)}")
            except OSError:
                return []
            return json.loads(text)["data"]["result"] if status == 200 else []

        found = wait_for(lambda: ask('max(lidloop_label_drift{pair="human_grown"})'), "a scrape")
        assert float(found[0]["value"][1]) == 0.3
        assert float(ask('up{job="lidloop"}')[0]["value"][1]) == 1
        assert float(ask("time() - lidloop_exporter_source_timestamp_seconds")[0]["value"][1]) < 60
    finally:
        server.terminate()
        server.wait(20)


def test_the_command_serves_and_stops_on_sigterm(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("lidloop")), "exporter"]
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=60).stdout
    for word in ("/metrics", "docs/METRICS.md", "MLFLOW_TRACKING_PASSWORD", "--runs", "LIDLOOP_REGISTRY"):
        assert word in shown
    process = subprocess.Popen(
        [*command, "--registry", str(tmp_path / "none"), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line.startswith("http://127.0.0.1:")
        port = int(urllib.parse.urlsplit(line).port or 0)
        wait_for(lambda: get(port, "/readyz")[0] == 200, "readiness")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
