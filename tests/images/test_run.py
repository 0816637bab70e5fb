"""``lidloop run --engine docker``: KFP's Docker runner against podman's Docker API.

The image is a stand-in, empty but for this machine's programs, which are mounted into it: what is tried is
the runner, not what steps do (``test_steps.py``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler

from lidloop.registry.registry import Registry
from lidloop.synthetic import write_faces_folder
from pipelines.local.containers import ContainerError, Containers, ready
from pipelines.local.engine import RunError, StepRecord, execute, locked
from pipelines.local.run import run_local
from pipelines.local.view import NoOutput
from pipelines.settings import RunSettings
from tests.images.podman import Podman
from tests.pipelines.local.test_engine import small, unnamed

ROOT = Path(__file__).parents[2]
HERE = tuple(
    sorted({"/usr", "/bin", "/lib", "/lib64", str(ROOT), str(Path(sys.executable).resolve().parents[1])})
)
"""Folders that the stand-in image borrows of this machine."""

Execute = Callable[..., list[StepRecord]]


@pytest.fixture(scope="module")
def image(engine: Podman) -> str:
    """An image of empty folders."""
    tar, tag = engine.folder / "empty.tar", "localhost/lidloop/stand-in:test"
    with tarfile.open(tar, "w") as archive:
        for name in ("etc", "tmp", "dev", "proc", "sys"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(folder)
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    engine(
        "import",
        f"--change=ENV PATH={path}",
        f"--change=ENV PYTHONPATH={ROOT}",
        "--change=ENV HOME=/tmp",
        tar,
        tag,
    )
    return tag


@pytest.fixture(scope="module")
def api(engine: Podman) -> Iterator[str]:
    """podman's Docker API."""
    address = f"unix://{engine.folder}/api.sock"
    with engine.service(address), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", address)
        yield address


@pytest.fixture
def run(api: str, image: str, tmp_path: Path) -> Execute:
    def start(pipeline: object = small, trap: str = "") -> list[StepRecord]:
        out = tmp_path / "run"
        (tmp_path / "trap").write_text(trap)
        containers = Containers(image, str(out), read=HERE, write=(str(tmp_path),))
        compiler.Compiler().compile(pipeline, str(tmp_path / "pipeline.yaml"))
        with locked(out) as lock, ready(containers):
            return execute(
                tmp_path / "pipeline.yaml", {"trace": str(tmp_path / "trace")}, out, lock=lock,
                view=NoOutput(),
                containers=containers,
            )  # fmt: skip

    return start


def left(engine: Podman) -> list[str]:
    return engine("ps", "--all", "--quiet").stdout.split()


def test_steps_run_in_containers(run: Execute, engine: Podman, tmp_path: Path) -> None:
    records = run()
    records[1:] = sorted(records[1:], key=lambda r: r.iteration or 0)  # KFP takes them in any order
    assert [(r.step, r.iteration, r.status) for r in records] == [
        ("begin", None, "done"), ("work", 0, "done"), ("work", 1, "done"), ("work", 2, "done"),
    ]  # fmt: skip
    assert [Path(r.outputs["more"]).read_text() for r in records[1:]] == ["made0", "made1", "made2"]
    assert all(Path(r.outputs["more"]).stat().st_uid == os.getuid() for r in records[1:])
    assert left(engine) == []
    assert {r.status for r in run()} == {"cached"}


@pytest.mark.parametrize(
    ("trap", "words"),
    [
        ("refuse", "step work, iteration [012], failed: TrainingError: no face"),
        ("die", "failed:"),
    ],
)
def test_a_step_that_fails_is_no_success(
    run: Execute, engine: Podman, tmp_path: Path, trap: str, words: str
) -> None:
    """KFP's own runner loses the exit status of a container that is gone."""
    with pytest.raises(RunError, match=words):
        run(trap=trap)
    assert (tmp_path / "trace").read_text().count("work") == 1
    assert left(engine) == []


def test_a_step_that_cannot_begin_is_no_success(run: Execute, engine: Podman) -> None:
    with pytest.raises(RunError, match="no_such_module"):
        run(unnamed)
    assert left(engine) == []


@pytest.mark.timeout(900)
def test_the_loop_runs_in_containers(
    api: str, image: str, engine: Podman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ultralytics")
    monkeypatch.delenv("LIDLOOP_REGISTRY", raising=False)
    plain = Containers.of

    def of(*given: Any) -> Containers:
        made = plain(*given)
        return replace(made, read=(*made.read, *HERE))

    monkeypatch.setattr(Containers, "of", of)
    write_faces_folder(tmp_path / "faces", images=16, seed=1)
    settings = RunSettings(
        sources=(f"yolo:{tmp_path / 'faces'}",), iterations=1, epochs=1, imgsz=64, batch=8, workers=0,
        base_weights="yolov8n-pose.yaml", device="cpu",
    )  # fmt: skip
    result = run_local(settings, out=tmp_path / "run", engine="docker", image=image)
    assert {record.status for record in result.steps} == {"done"}
    assert (result.out / "report.html").is_file()
    assert Registry(result.registry, create=False).versions()
    assert left(engine) == []


def test_a_stop_leaves_no_container(api: str, image: str, engine: Podman, tmp_path: Path) -> None:
    """Not even where the run is killed: the next one removes what is left."""
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from pipelines.local.containers import Containers, ready, runner, _connect, LABEL
containers = Containers({image!r}, {str(tmp_path)!r}, read={HERE!r})
with ready(containers):
    client = _connect()
    options = runner(containers).container_run_args
    client.containers.create(containers.image, ["sleep", "600"], **options).start()
    print("started", flush=True)
    sys.stdin.read()
"""
    for kill in (False, True):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        assert len(left(engine)) == 1
        if kill:
            process.kill()
            process.wait(20)
            assert len(left(engine)) == 1
            with ready(Containers(image, str(tmp_path))):
                assert left(engine) == []
        else:
            process.communicate("", timeout=30)
            assert left(engine) == []


def test_an_image_that_is_not_there_is_said(api: str, tmp_path: Path) -> None:
    none = Containers("lidloop/none:1", str(tmp_path))
    with pytest.raises(ContainerError, match="there is no image lidloop/none:1"), ready(none):
        raise AssertionError("ready")
