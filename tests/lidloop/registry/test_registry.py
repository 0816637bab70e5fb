"""The registry and its two pipeline steps, on MLflow with a sqlite file."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lidloop.data.dataset import Dataset, LabelVersion, write_initial, write_next
from lidloop.data.picture_index import ImageRecord
from lidloop.data.tables import read_table, write_faces
from lidloop.data.version_writer import LEDGER_SCHEMA
from lidloop.errors import DatasetError, ModelError, RegistryError
from lidloop.files import sha256
from lidloop.labels import Face, LabelSet, box_of
from lidloop.models.bundle import Bundle, seal
from lidloop.registry.mlflow_backend import locate
from lidloop.registry.registry import Registry
from lidloop.registry.steps import consider, promote_step, register_step
from lidloop.registry.versions import ChampionChange, ModelVersion, line_of_champions

pytest.importorskip("mlflow")

LABELS = {"train": {"human": 8, "grown": 2}, "val": {"human": 2, "grown": 0}}


@pytest.fixture
def place(tmp_path: Path, migrated: Path) -> Path:
    folder = tmp_path / "registry"
    folder.mkdir()
    shutil.copyfile(migrated, folder / "mlflow.db")
    return folder


def gold(nme: float = 0.04, **changes: Any) -> dict[str, Any]:
    return {
        "faces": 400,
        "matched": 392,
        "recall": 0.98,
        "nme_mean": nme,
        "lid_error_mean": nme / 2,
    } | changes


def bundle(
    folder: Path, *, run: str = "r", iteration: int = 0, nme: float = 0.04, onnx: bytes = b"", **changes: Any
) -> Bundle:
    model = folder / f"model-{run}-{iteration}-{len(onnx)}"
    if not model.exists():
        train(model, iteration, onnx)
    yardstick = {"overall": gold(nme)}
    arguments: dict[str, Any] = {
        "evaluation": {"iteration": iteration, "gold": yardstick, "paper": yardstick},
        "profile": {"format": 1}, "run": run, "iteration": iteration, "parent": None, "dataset": "d" * 64,
        "label_version": iteration, "labels": LABELS,
    }  # fmt: skip
    return seal(model, folder / f"bundle-{run}-{iteration}-{len(onnx)}", **(arguments | changes))


def train(model: Path, iteration: int, onnx: bytes = b"") -> None:
    model.mkdir(parents=True)
    (model / "model.onnx").write_bytes(onnx or f"onnx {iteration}".encode())
    (model / "weights.pt").write_bytes(b"weights")
    (model / "training.json").write_text(json.dumps({"iteration": iteration, "imgsz": 320}))


def fill(place: Path, work: Path, *errors: float, **changes: Any) -> Registry:
    """A registry with one version per NME."""
    registry = Registry(place)
    for iteration, nme in enumerate(errors):
        made = bundle(work, iteration=iteration, nme=nme, **changes)
        registry.register(made, run="r", iteration=iteration, parent=str(iteration) if iteration else None)
    return registry


def test_a_version_carries_its_lineage(place: Path, tmp_path: Path) -> None:
    first = fill(place, tmp_path, 0.04, 0.03).get("2")
    again = Registry(place).get("2")  # another client
    assert again == first
    assert (again.run, again.iteration, again.parent, again.champion) == ("r", 1, "1", False)
    assert (again.dataset, again.labels, again.label_version) == ("d" * 64, LABELS, 1)
    assert again.gold == gold(0.03)
    assert again.model == sha256(tmp_path / "bundle-r-1-0" / "model.onnx")


def test_metrics_are_on_the_mlflow_run(place: Path, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    version = fill(place, tmp_path, 0.04).get("1")
    run = MlflowClient(tracking_uri=f"sqlite:///{place}/mlflow.db").get_run(version.mlflow_run)
    assert run.data.metrics["gold.nme_mean"] == 0.04
    assert run.data.metrics["paper.recall"] == 0.98
    assert run.info.status == "FINISHED"


def test_registering_twice_gives_one_version(place: Path, tmp_path: Path) -> None:
    registry = fill(place, tmp_path, 0.04)
    # Sealed again, so that its time and with it bundle.json may differ; the model is the same.
    again = bundle(tmp_path / "again", created="2031-01-01T00:00:00+00:00")
    assert registry.register(again, run="r", iteration=0).version == "1"
    assert len(registry.versions()) == 1


def test_another_model_for_a_known_iteration_is_refused(place: Path, tmp_path: Path) -> None:
    registry = fill(place, tmp_path, 0.04)
    with pytest.raises(RegistryError, match="already, as version 1, with another model"):
        registry.register(bundle(tmp_path, onnx=b"another"), run="r", iteration=0)


@pytest.mark.parametrize("step", ["log_artifacts", "set_terminated", "create_model_version"])
def test_a_killed_registration_is_completed(
    place: Path, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: Any, **__: Any) -> None:
        raise Killed

    made = bundle(tmp_path)
    registry = Registry(place)
    with monkeypatch.context() as patch:
        patch.setattr(type(registry._client), step, kill)
        with pytest.raises(Killed):
            registry.register(made, run="r", iteration=0)
    assert registry.versions() == []
    version = Registry(place).register(made, run="r", iteration=0)
    assert version.version == "1"
    assert Registry(place).download("1", tmp_path / "got").digest == made.digest
    client = registry._client
    experiment = client.get_experiment_by_name("lidloop")
    assert len(client.search_runs([experiment.experiment_id])) == 1


def test_of_a_race_one_version_remains(place: Path, tmp_path: Path) -> None:
    # Servers have no lock: both writers see nothing, both add. The one that looks later cleans up.
    made = bundle(tmp_path)
    registry = Registry(place)
    registry._add(made, "r", 0, None)
    registry._add(made, "r", 0, None)
    assert len(registry.versions()) == 2
    assert registry._settle("r", 0).version == "1"
    assert [v.version for v in registry.versions()] == ["1"]


def test_two_writers_at_once_give_one_version(place: Path, tmp_path: Path) -> None:
    made = bundle(tmp_path)
    together = threading.Barrier(2)

    def write(_: int) -> str:
        registry = Registry(place)
        together.wait(timeout=30)
        return registry.register(made, run="r", iteration=0).version

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(write, range(2))) == ["1", "1"]
    assert len(Registry(place).versions()) == 1


@pytest.mark.slow
def test_nothing_is_printed_when_a_registry_is_made(tmp_path: Path) -> None:
    code = (
        "import sys; from lidloop.registry.registry import Registry; print(Registry(sys.argv[1]).versions())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "new"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert (tmp_path / "new" / "mlflow.db").is_file()


def test_loggers_are_left_as_they_were(place: Path) -> None:
    logging.getLogger("alembic").setLevel(logging.INFO)
    Registry(place).versions()
    assert logging.getLogger("alembic").level == logging.INFO


def test_bundle_of_another_run_is_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is of run r, iteration 0"):
        Registry(place).register(bundle(tmp_path), run="other", iteration=0)


def test_download_is_verified(place: Path, tmp_path: Path) -> None:
    registry = fill(place, tmp_path, 0.04)
    got = registry.download("1", tmp_path / "got")
    assert got.onnx.read_bytes() == b"onnx 0"
    kept = next((place / "artifacts").rglob("model.onnx"))
    kept.write_bytes(b"onnx 1")
    with pytest.raises(ModelError, match=r"model\.onnx does not match its digest"):
        registry.download("1", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_whole_other_bundle_in_its_place_is_refused(place: Path, tmp_path: Path) -> None:
    registry = fill(place, tmp_path, 0.04)
    kept = next((place / "artifacts").rglob("model.onnx")).parent
    shutil.rmtree(kept)
    shutil.copytree(bundle(tmp_path / "other", nme=0.01).root, kept)
    with pytest.raises(ModelError, match="not the one that was registered"):
        registry.download("1", tmp_path / "got")


def test_a_moved_registry_works(place: Path, tmp_path: Path) -> None:
    made = fill(place, tmp_path, 0.04).get("1").bundle
    moved = place.rename(tmp_path / "moved")
    registry = Registry(moved)
    assert registry.download("1", tmp_path / "got").digest == made
    registry.register(bundle(tmp_path, iteration=1), run="r", iteration=1)
    assert registry.download("2", tmp_path / "got again").info["iteration"] == 1
    assert not place.exists()


def test_promote_and_rollback(place: Path, tmp_path: Path) -> None:
    registry = fill(place, tmp_path, 0.04, 0.03, 0.02)
    assert registry.champion() is None
    for version in ("1", "2", "2", "3"):
        assert registry.promote(version, reason=f"because {version}").champion
    assert [v.version for v in registry.versions() if v.champion] == ["3"]
    assert registry.get("champion").version == "3"
    registry = Registry(place)
    assert registry.rollback().version == "2"
    assert registry.rollback(reason="it saw double").version == "1"
    with pytest.raises(RegistryError, match="first champion"):
        registry.rollback()
    changes = [(c.action, c.version, c.previous) for c in registry.history()]
    assert changes == [
        ("promote", "1", None), ("promote", "2", "1"), ("promote", "3", "2"),
        ("rollback", "2", "3"), ("rollback", "1", "2"),
    ]  # fmt: skip
    assert registry.history()[-1].reason == "it saw double"


def test_rollback_follows_an_alias_that_others_moved(place: Path, tmp_path: Path) -> None:
    registry = fill(place, tmp_path, 0.04, 0.03)
    registry.promote("1", reason="")
    registry._client.set_registered_model_alias("lidloop", "champion", "2")  # as MLflow's UI does
    assert registry.get("champion").version == "2"
    assert registry.rollback().version == "1"


def change(action: str, version: str, previous: str | None) -> ChampionChange:
    return ChampionChange(action, version, previous, "", "")


@pytest.mark.parametrize(
    ("history", "line"),
    [
        pytest.param([], [], id="none yet"),
        pytest.param([("promote", "1", None), ("promote", "2", "1")], ["1", "2"], id="two"),
        pytest.param(
            [("promote", "1", None), ("promote", "3", "2")], ["1", "2", "3"], id="2 was set elsewhere"
        ),
        pytest.param(
            [("promote", "1", None), ("promote", "2", "1"), ("rollback", "1", "2"), ("promote", "3", "1")],
            ["1", "3"],
            id="what was rolled back is gone",
        ),
        pytest.param(
            [("promote", "1", None), ("promote", "2", "1"), ("promote", "1", "2")],
            ["1", "2", "1"],
            id="again",
        ),
    ],
)
def test_line_of_champions(history: list[tuple[str, str, str | None]], line: list[str]) -> None:
    assert line_of_champions([change(*entry) for entry in history]) == line


@pytest.mark.parametrize(
    ("use", "message"),
    [
        pytest.param(lambda r: r.get("7"), "no version '7'; it has: 1", id="unknown version"),
        pytest.param(lambda r: r.get("champion"), "has no champion", id="no champion"),
        pytest.param(lambda r: r.promote("7", reason=""), "no version '7'", id="promote unknown"),
        pytest.param(lambda r: r.rollback(), "has no champion", id="roll back nothing"),
    ],
)
def test_what_is_not_there(place: Path, tmp_path: Path, use: Callable[[Registry], Any], message: str) -> None:
    registry = fill(place, tmp_path, 0.04)
    with pytest.raises(RegistryError, match=message):
        use(registry)


def test_no_registry_is_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"no registry in .*LIDLOOP_REGISTRY"):
        Registry(tmp_path / "none", create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("where", "message"),
    [
        pytest.param("ftp://host/x", "sqlite: or http", id="unknown scheme"),
        pytest.param("sqlite://", "names no file", id="sqlite in memory"),
        pytest.param("http://user:secret@127.0.0.1:9", "no registry answers", id="nobody at home"),
    ],
)
def test_bad_places(where: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message) as caught:
        Registry(where).versions()
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is not a database, whatever it is called" * 50)
    with pytest.raises(RegistryError, match="damaged or something else"):
        Registry(tmp_path).versions()


def test_places(tmp_path: Path) -> None:
    folder = locate(tmp_path)
    assert folder.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert folder.artifacts == f"file://{tmp_path}/artifacts"
    assert locate(folder.uri).artifacts == folder.artifacts
    assert locate(f"file://{tmp_path}").uri == folder.uri
    server = locate("https://me:secret@mlflow.example:8443")
    assert (server.database, server.artifacts, server.shown) == (
        None,
        None,
        "https://me:***@mlflow.example:8443",
    )
    assert locate("https://x", "s3://bucket/models").artifacts == "s3://bucket/models"


@pytest.mark.slow
def test_a_server(migrated: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copyfile(migrated, tmp_path / "server.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "kept")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=environment)
    try:
        uri = f"http://127.0.0.1:{port}"
        wait_for(port, server, tmp_path / "log")
        registry = Registry(uri)
        made = [bundle(tmp_path, iteration=k, nme=nme) for k, nme in enumerate((0.04, 0.03))]
        for _ in range(2):
            versions = [registry.register(b, run="r", iteration=k).version for k, b in enumerate(made)]
            assert versions == ["1", "2"]
        assert promote_step(uri, "1")
        assert promote_step(uri, "2")
        assert registry.rollback().version == "1"
        assert registry.download("champion", tmp_path / "got").digest == made[0].digest
        with pytest.raises(RegistryError, match="no version '9'"):
            registry.get("9")
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    assert capfd.readouterr() == ("", "")


def wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"the MLflow server did not start: {log.read_text()[-2000:]}")


# The pipeline's steps


def face(x: float) -> Face:
    points = np.full((51, 3), 2.0)
    rng = np.random.default_rng(int(x))
    points[:, :2] = x + rng.random((51, 2)) * 30
    return Face(box_of(points), points)


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    """A dataset of four pictures, label versions 0 and 1, and models and evaluations of two iterations."""
    records = [
        ImageRecord(f"i{k}", f"i{k}.png", 100, 80, "val" if k > 1 else "train", "s", f"g{k}", "0")
        for k in range(4)
    ]
    dataset = Dataset.write(tmp_path / "dataset", records, {"seed": 0})
    human = LabelSet.from_faces({r.id: [face(10.0 + k)] for k, r in enumerate(records)})
    labels = write_initial(tmp_path / "labels-v0", dataset, human)
    shutil.copytree(labels.root, tmp_path / "labels-v1")
    info = json.loads((tmp_path / "labels-v1" / "version.json").read_text())
    (tmp_path / "labels-v1" / "version.json").write_text(json.dumps(info | {"version": 1}))
    shutil.copyfile(labels.root / "ledger" / "v0.parquet", tmp_path / "labels-v1" / "ledger" / "v1.parquet")
    for iteration, nme in enumerate((0.04, 0.03)):
        train(tmp_path / f"model-{iteration}", iteration)
        evaluate(tmp_path, iteration, nme)
    return tmp_path


def evaluate(loop: Path, iteration: int, nme: float) -> None:
    model = sha256(loop / f"model-{iteration}" / "model.onnx")
    folder = loop / f"evaluation-{iteration}"
    folder.mkdir()
    content = {"iteration": iteration, "model": model, "sigma": 0.05, "gold": {"overall": gold(nme)}}
    content |= {"paper": {"overall": gold(nme)}, "iterations": []}
    (folder / "evaluation.json").write_text(json.dumps(content))


def step(loop: Path, place: Path, iteration: int, **changes: Any) -> str:
    return register_step(
        loop / f"model-{iteration}",
        loop / f"evaluation-{changes.pop('evaluation', iteration)}",
        loop / "dataset",
        loop / f"labels-v{iteration}",
        registry_uri=str(place),
        run="r",
        iteration=iteration,
        **changes,
    )


def test_steps_of_two_iterations(loop: Path, place: Path) -> None:
    versions = [step(loop, place, k) for k in (0, 1)]
    assert versions == ["1", "2"]
    assert [step(loop, place, k) for k in (0, 1)] == versions
    registry = Registry(place)
    assert [v.parent for v in registry.versions()] == [None, "1"]
    assert all(promote_step(str(place), v) for v in versions)
    assert promote_step(str(place), "2"), "asked again, it is still the champion"
    assert not promote_step(str(place), "1")
    champion = registry.get("champion")
    assert champion.version == "2"
    assert champion.gate is not None
    assert champion.gate["against"] == "1"
    profile = registry.download("2", loop / "got").read("reference_profile.json")
    assert profile["faces"] == 4
    assert profile["live"] is None
    assert profile["features"]["confidence"]["n"] == 0
    assert profile["features"]["pfh_ratio_left"]["n"] == 4


def test_what_is_found_later_is_compared_with_what_the_model_sees(loop: Path, place: Path) -> None:
    scored = [
        Face(f.box, f.points, 0, score) for f, score in ((face(10), 0.9), (face(11), 0.5), (face(12), 0.1))
    ]
    found = LabelSet.from_faces({"i0": scored[:1], "i2": scored})
    write_faces(loop / "shard" / "faces.parquet", found)
    step(loop, place, 0, predictions=[loop / "shard"])
    profile = Registry(place).download("1", loop / "got").read("reference_profile.json")
    assert profile["faces"] == 4
    assert profile["features"]["confidence"]["n"] == 0, "people give none"
    assert profile["live"]["faces"] == 3, "from the bundle's threshold on; of all pictures, as val shows few"
    assert profile["live"]["features"]["confidence"]["n"] == 3


def test_grown_labels_are_not_in_the_profile(loop: Path, place: Path) -> None:
    shutil.rmtree(loop / "labels-v1")
    dataset = Dataset.open(loop / "dataset")
    before = LabelVersion.open(loop / "labels-v0")
    ledger = read_table(before.root / "ledger" / "v0.parquet").to_pylist()
    extra = face(40)
    row = ledger[0] | {"line": 1, "origin": 0, "model": "m", "confidence": 0.9, "reason": "grown"}
    table = pa.Table.from_pylist([*ledger, row], schema=LEDGER_SCHEMA)
    write_next(loop / "labels-v1", before, dataset, LabelSet.from_faces({ledger[0]["image"]: [extra]}), table)
    step(loop, place, 0)
    step(loop, place, 1)
    registry = Registry(place)
    assert registry.get("2").labels["train"] == {"human": 2, "grown": 1}
    assert registry.download("2", loop / "got").read("reference_profile.json")["faces"] == 4


def test_what_an_iteration_made_is_in_its_version(loop: Path, place: Path) -> None:
    """With the labels that it made: ``watch.json``. Without them a version has none, which is no error."""
    path = loop / "evaluation-0" / "evaluation.json"
    content = json.loads(path.read_text())
    both = {y: content[y] | {"by_source": {"s": gold(0.04)}} for y in ("gold", "paper")}
    counted = {y: {"overall": both[y]["overall"] | {"nme_faces": 2}} for y in both}
    path.write_text(json.dumps(content | both | {"iterations": [{"iteration": 0, **counted}]}))
    found = LabelSet.from_faces({f"i{k}": [replace(face(10.0 + k), score=0.9)] for k in range(4)})
    write_faces(loop / "shard" / "faces.parquet", found)
    with pytest.raises(DatasetError, match="makes version 1"):
        step(loop, place, 0, predictions=[loop / "shard"], grown_dir=loop / "labels-v0")
    step(loop, place, 0, predictions=[loop / "shard"], grown_dir=loop / "labels-v1")
    step(loop, place, 1, predictions=[loop / "shard"])
    registry = Registry(place)
    watch = registry.download("1", loop / "got").read("watch.json")
    assert watch["labels"] == registry.get("1").labels
    assert watch["made"]["label_version"] == 1
    assert watch["agreement"] == [
        {"origin": "human", "faces": 4, "nme": pytest.approx(0, abs=1e-4), "offset": 0}
    ]
    assert not (registry.download("2", loop / "got-2").root / "watch.json").exists()


def test_iterations_are_registered_in_order(loop: Path, place: Path) -> None:
    with pytest.raises(RegistryError, match="iteration 0 of run r is not registered"):
        step(loop, place, 1)


def test_an_evaluation_of_another_model_is_refused(loop: Path, place: Path) -> None:
    with pytest.raises(ModelError, match="evaluates another model"):
        step(loop, place, 0, evaluation=1)


def test_a_worse_model_is_not_promoted(place: Path, tmp_path: Path) -> None:
    registry = fill(place, tmp_path, 0.03, 0.04)
    assert promote_step(str(place), "1")
    assert not promote_step(str(place), "2")
    refused = registry.get("2")
    assert refused.gate is not None
    assert not refused.gate["promote"]
    assert any("NME" in reason for reason in refused.gate["reasons"])
    assert registry.get("champion").version == "1"


def test_recall_is_not_lost_bit_by_bit(place: Path, tmp_path: Path) -> None:
    registry = Registry(place)
    for iteration, (nme, recall) in enumerate([(0.04, 0.98), (0.035, 0.976), (0.03, 0.973)]):
        yardstick = {"overall": gold(nme, recall=recall)}
        evaluation = {"iteration": iteration, "gold": yardstick, "paper": yardstick}
        made = bundle(tmp_path, iteration=iteration, evaluation=evaluation)
        registry.register(made, run="r", iteration=iteration, parent=str(iteration) if iteration else None)
    assert promote_step(str(place), "1")
    assert promote_step(str(place), "2")
    assert not promote_step(str(place), "3")
    assert "earlier champion" in str(registry.get("3").gate)
    registry.rollback(reason="eyes on ears")
    assert not promote_step(str(place), "3"), "the first champion's recall counts as before"


def test_a_rollback_is_not_undone_by_the_pipeline(place: Path, tmp_path: Path) -> None:
    registry = fill(place, tmp_path, 0.04, 0.03)
    assert promote_step(str(place), "1")
    assert promote_step(str(place), "2")
    registry.rollback(reason="eyes on ears")
    assert not promote_step(str(place), "2")
    assert "eyes on ears" in str(registry.get("2").gate)
    assert registry.get("champion").version == "1"


def test_metrics_of_another_dataset_are_not_compared(place: Path, tmp_path: Path) -> None:
    registry = fill(place, tmp_path, 0.04)
    assert promote_step(str(place), "1")
    registry.register(bundle(tmp_path, run="s", nme=0.01, dataset="e" * 64), run="s", iteration=0)
    assert not promote_step(str(place), "2")
    assert "another dataset" in str(registry.get("2").gate)


@pytest.mark.parametrize(
    ("there", "promoted", "why"),
    [
        pytest.param(gold(0.02), True, "NME 2 % → 1 %", id="better on the new faces too"),
        pytest.param(gold(0.005), False, "NME 0.5 % → 1 %", id="worse on the new faces"),
        pytest.param(gold(0.02, faces=10), False, "not comparable", id="measured on other faces by mistake"),
    ],
)
def test_a_champion_of_another_dataset_is_measured_on_this_one(
    place: Path, tmp_path: Path, there: dict[str, Any], promoted: bool, why: str
) -> None:
    registry = fill(place, tmp_path, 0.04)
    assert promote_step(str(place), "1")
    registry.register(bundle(tmp_path, run="s", nme=0.01, dataset="e" * 64), run="s", iteration=0)
    asked: list[str] = []

    def measure(champion: ModelVersion) -> dict[str, Any]:
        asked.append(champion.version)
        return there

    decision = consider(registry, "2", measure=measure)
    assert (decision.promote, asked) == (promoted, ["1"])
    assert why in " ".join(decision.reasons)


def test_a_champion_of_the_same_dataset_is_not_measured_again(place: Path, tmp_path: Path) -> None:
    registry = fill(place, tmp_path, 0.04, 0.03)
    assert promote_step(str(place), "1")
    assert consider(registry, "2", measure=lambda champion: pytest.fail(champion.version)).promote
