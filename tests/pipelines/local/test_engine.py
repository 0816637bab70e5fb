"""The local runner on small pipelines: cache, failures, kills and signals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from kfp import compiler, dsl

from pipelines.local.engine import LOG, TIMINGS, RunError, StepRecord, execute, locked
from pipelines.local.folder import clear_leftovers
from pipelines.local.view import NoOutput

IMAGE = "python"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def begin(trace: str, made: dsl.Output[dsl.Dataset]):
    """Leave a mark and write a file."""
    from pathlib import Path

    with Path(trace).open("a") as file:
        file.write("begin\n")
    Path(made.path).write_text("made")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def work(iteration: int, trace: str, made: dsl.Input[dsl.Dataset], more: dsl.Output[dsl.Dataset]):
    """Do what the file ``trap`` beside the trace says: nothing, or something bad."""
    import os
    import signal
    import time
    from pathlib import Path

    from components.step import step

    with step("work", iteration):
        with Path(trace).open("a") as file:
            file.write(f"work {iteration} {os.getpid()}\n")
        Path(more.path + ".half").write_text("half")
        trap = Path(trace).with_name("trap")
        what = trap.read_text() if trap.exists() else ""
        if what == "refuse":
            from lidloop.errors import TrainingError

            raise TrainingError("no face has a label")
        if what == "break":
            raise ZeroDivisionError("a bug")
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "hang":
            time.sleep(120)
        Path(more.path).write_text(Path(made.path).read_text() + str(iteration))


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def broken(trace: str, made: dsl.Input[dsl.Dataset]):
    """Fail before ``components.step`` can log the error."""
    import no_such_module  # noqa: F401


@dsl.pipeline(name="small")
def small(trace: str):
    """Run one step, then three independent ones."""
    made = begin(trace=trace).outputs["made"]
    for k in range(3):
        work(iteration=k, trace=trace, made=made)


@dsl.pipeline(name="unnamed")
def unnamed(trace: str):
    """Run one step, then one that fails."""
    broken(trace=trace, made=begin(trace=trace).outputs["made"])


class Case(NamedTuple):
    """A run folder, the file to which its steps write, and the compiled pipeline."""

    out: Path
    trace: Path
    pipeline: Path

    def run(self) -> list[StepRecord]:
        with locked(self.out) as lock:
            clear_leftovers(self.out)
            return execute(self.pipeline, {"trace": str(self.trace)}, self.out, lock=lock, view=NoOutput())

    def spawn(self) -> subprocess.Popen[str]:
        """Start the same in another process, to be killed."""
        code = (
            "import sys; from pathlib import Path\n"
            "from pipelines.local.engine import *; from pipelines.local.view import NoOutput\n"
            "out, trace, pipeline = map(Path, sys.argv[1:])\n"
            "with locked(out) as lock:\n"
            "    try: execute(pipeline, {'trace': str(trace)}, out, lock=lock, view=NoOutput())\n"
            "    except RunError as error: sys.exit(str(error))\n"
        )
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, self)],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def set_trap(self, what: str) -> None:
        self.trace.with_name("trap").write_text(what)

    def spring(self) -> None:
        self.trace.with_name("trap").unlink()

    def marks(self) -> list[str]:
        return self.trace.read_text().splitlines() if self.trace.exists() else []


@pytest.fixture
def case(tmp_path: Path) -> Case:
    out = tmp_path / "out"
    compiler.Compiler().compile(small, str(tmp_path / "small.yaml"))
    return Case(out, tmp_path / "trace", tmp_path / "small.yaml")


def wait_for(what: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "time-out"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Return True if a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def worker_pid(case: Case) -> int:
    wait_for(lambda: any(mark.startswith("work") for mark in case.marks()))
    return int(case.marks()[-1].split()[2])


def test_a_package_of_the_same_name_in_the_working_directory_is_not_imported(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pipelines", "components", "lidloop"):
        (tmp_path / "project" / name).mkdir(parents=True)
        (tmp_path / "project" / name / "__init__.py").touch()
    monkeypatch.chdir(tmp_path / "project")
    assert [record.status for record in case.run()] == ["done"] * 4


def test_a_second_start_takes_everything_from_the_cache(case: Case) -> None:
    first = case.run()
    marks = case.marks()
    times = json.loads((case.out / TIMINGS).read_text())["steps"]
    second = case.run()
    assert [r.status for r in first] == ["done"] * 4
    assert [r.status for r in second] == ["cached"] * 4
    assert case.marks() == marks
    # KFP begins steps that do not wait for each other in any order.
    assert {r.iteration: r.outputs for r in second} == {r.iteration: r.outputs for r in first}

    assert [(r["step"], r["iteration"]) for r in times] == [(r.step, r.iteration) for r in first]
    assert all(isinstance(r["iteration"], int | None) and r["seconds"] > 0 for r in times)
    assert not any(r["cached"] for r in times)
    again = json.loads((case.out / TIMINGS).read_text())["steps"]
    assert {r["iteration"]: r["seconds"] for r in again} == {r["iteration"]: r["seconds"] for r in times}
    assert {(r["seconds_now"], r["cached"]) for r in again} == {(0.0, True)}

    log = (case.out / LOG).read_text()
    assert log.count(f"start, process {os.getpid()}") == 2, "the log of every start is kept"
    assert "\x1b" not in log


class Killed(NoOutput):
    """View that raises an error when the first step has finished."""

    def ended(self, *_: object) -> None:
        raise ConnectionError("killed")


def test_a_kill_while_the_cache_is_read_loses_no_timing(case: Case) -> None:
    case.run()
    times = {r["iteration"]: r["seconds"] for r in json.loads((case.out / TIMINGS).read_text())["steps"]}
    with locked(case.out) as lock, pytest.raises(ConnectionError):
        execute(case.pipeline, {"trace": str(case.trace)}, case.out, lock=lock, view=Killed())
    kept = json.loads((case.out / TIMINGS).read_text())["steps"]
    assert {r["iteration"]: r["seconds"] for r in kept} == times
    assert {r.iteration: r.took for r in case.run()} == times


def test_a_lost_artifact_is_made_again(case: Case) -> None:
    first = case.run()
    lost = next(r for r in first if r.iteration == 1)
    Path(lost.outputs["more"]).unlink()
    second = case.run()
    assert {r.iteration: r.status for r in second} == {None: "cached", 0: "cached", 1: "done", 2: "cached"}


def failure_of(case: Case, trap: str) -> str:
    case.set_trap(trap)
    with pytest.raises(RunError) as caught:
        case.run()
    return str(caught.value)


@pytest.mark.parametrize(
    ("trap", "cause"),
    [
        ("refuse", "TrainingError: no face has a label"),
        ("break", "ZeroDivisionError: a bug"),
        ("die", "its process ended without an error message (out of memory?)"),
    ],
)
def test_a_failing_step_names_itself_and_its_cause(case: Case, trap: str, cause: str) -> None:
    message = failure_of(case, trap)
    tried = int(case.marks()[-1].split()[1])
    assert message == f"step work, iteration {tried}, failed: {cause}; whole log: {case.out / LOG}"
    assert ("Traceback" in (case.out / LOG).read_text()) == (trap == "break")


def test_an_error_outside_the_step_frame_is_found_in_the_log(tmp_path: Path) -> None:
    compiler.Compiler().compile(unnamed, str(tmp_path / "unnamed.yaml"))
    with pytest.raises(
        RunError, match=r"^step broken, failed: ModuleNotFoundError: No module named 'no_such_module';"
    ):
        Case(tmp_path / "out", tmp_path / "trace", tmp_path / "unnamed.yaml").run()


def test_no_step_starts_after_a_failure_and_the_next_start_resumes(case: Case) -> None:
    failure_of(case, "refuse")
    assert [mark.split()[0] for mark in case.marks()] == ["begin", "work"]
    halves = list((case.out / "steps").rglob("*.half"))
    assert len(halves) == 1
    case.spring()
    records = case.run()
    assert [r.status for r in records] == ["cached", "done", "done", "done"]
    assert case.marks().count("begin") == 1
    assert not halves[0].parent.exists(), "what the failed step left is removed"
    assert all(Path(place).exists() for r in records for place in r.outputs.values())


def test_steps_of_a_killed_runner_end_and_the_next_start_resumes(case: Case) -> None:
    case.set_trap("hang")
    runner = case.spawn()
    step = worker_pid(case)
    assert alive(step)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    wait_for(lambda: not alive(step), 5.0)
    case.spring()
    assert [r.status for r in case.run()] == ["cached", "done", "done", "done"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: signal.Signals(n).name)
def test_a_signal_ends_the_steps_and_names_how_to_resume(case: Case, number: signal.Signals) -> None:
    case.set_trap("hang")
    runner = case.spawn()
    step = worker_pid(case)
    runner.send_signal(number)
    _, said = runner.communicate(timeout=20)
    assert not alive(step)
    tried = int(case.marks()[-1].split()[1])
    assert said.strip() == (
        f"stopped by {number.name} in step work, iteration {tried}; "
        "finished steps are kept: the same command resumes the run"
    )


def test_a_second_run_in_the_same_folder_is_rejected(case: Case) -> None:
    case.set_trap("hang")
    runner = case.spawn()
    try:
        worker_pid(case)
        with pytest.raises(RunError, match=rf"another run \(process {runner.pid}\) uses {case.out}"):
            case.run()
    finally:
        runner.kill()
        runner.wait()
