from __future__ import annotations

import errno
import json
import logging
import sys
from pathlib import Path

import pytest

from components.step import Line, carry_steps, inference, parse_line, plain_number, step
from lidloop.errors import TrainingError

LOG = logging.getLogger("lidloop")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("lidloop [train 2] INFO epoch 3 of 10", Line("train", 2, "INFO", "epoch 3 of 10")),
        ("lidloop [convert] WARNING a [b] c", Line("convert", None, "WARNING", "a [b] c")),
        ("        lidloop [auto_label 0] INFO x", Line("auto_label", 0, "INFO", "x")),
        ("[KFP Executor INFO]: Wrote executor output", None),
        ("lidloop is a library", None),
    ],
    ids=["iteration", "no iteration, brackets in the text", "indented by KFP", "KFP's own", "other text"],
)
def test_parse_line(line: str, expected: Line | None) -> None:
    assert parse_line(line) == expected


def test_log_lines_carry_the_step_and_can_be_parsed(capsys: pytest.CaptureFixture[str]) -> None:
    with step("train", 3):
        LOG.info("two\nlines %d", 1)
    (line,) = capsys.readouterr().err.splitlines()
    assert parse_line(line) == Line("train", 3, "INFO", "two lines 1")


def test_a_lidloop_error_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, step("train", 0):
        raise TrainingError("no labelled face;\ngive more pictures")
    assert caught.value.code == 1
    line = parse_line(capsys.readouterr().err.strip())
    assert line == Line("train", 0, "ERROR", "TrainingError: no labelled face; give more pictures")


def test_a_system_error_is_one_line_with_advice_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, step("convert"):
        raise OSError(errno.ENOSPC, "No space left on device", "/data/x")
    assert caught.value.code == 1
    line = parse_line(capsys.readouterr().err.strip())
    assert line is not None
    assert line.level == "ERROR"
    assert "/data/x" in line.text
    assert "full" in line.text


@pytest.mark.parametrize(
    "error", [TrainingError("no\nfaces ä" * 900), OSError(errno.ENOSPC, "full"), KeyError("x")]
)
def test_an_error_is_the_containers_termination_message(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes makes the file; in the message of a failed step it is what names the cause."""
    file = tmp_path / "termination-log"
    file.touch()
    monkeypatch.setattr("components.termination.FILE", file)
    with pytest.raises((SystemExit, KeyError)), step("train", 0):
        raise error
    said = file.read_bytes()
    assert said.startswith(type(error).__name__.encode())
    assert b"\n" not in said
    assert len(said) <= 4096


def test_no_termination_message_outside_kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "termination-log"
    monkeypatch.setattr("components.termination.FILE", file)
    with pytest.raises(KeyError), step("train", 0):
        raise KeyError("x")
    assert not file.exists()


def test_another_error_is_logged_and_raised(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), step("evaluate", 1):
        raise KeyError("gold")
    assert "lidloop [evaluate 1] ERROR KeyError: 'gold'" in capsys.readouterr().err


def test_logging_is_restored_after_the_step(capsys: pytest.CaptureFixture[str]) -> None:
    before = (LOG.level, LOG.propagate, list(LOG.handlers))
    with step("report"):
        assert LOG.level == logging.INFO
    assert (LOG.level, LOG.propagate, list(LOG.handlers)) == before


def test_progress_logs_the_end_and_not_every_call(capsys: pytest.CaptureFixture[str]) -> None:
    with step("convert") as this:
        report = this.progress("pictures", every=3600)
        for done in range(1, 101):
            report(done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["lidloop [convert] INFO 100 of 100 pictures"]


def test_carry_steps_appends_to_a_record(tmp_path: Path) -> None:
    record = tmp_path / "record"
    record.write_text(json.dumps({"version": "1", "steps": carry_steps(None, None, convert=2.5)}))
    steps = carry_steps(record, 0, train=10, register=None)
    assert steps == [
        {"step": "convert", "iteration": None, "seconds": 2.5},
        {"step": "train", "iteration": 0, "seconds": 10.0},
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [('{"a": 4.0}', 4), ('{"a": 0.25}', 0.25), ('{"a": 4}', 4)],
    ids=["whole as KFP writes it", "fraction", "whole"],
)
def test_plain_number(text: str, number: float) -> None:
    value = json.loads(text, parse_float=plain_number)["a"]
    assert (value, type(value)) == (number, type(number))


@pytest.mark.parametrize("device", ["cpu", "", "0"])
def test_inference_needs_no_torch(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image without training has no torch."""
    monkeypatch.setitem(sys.modules, "torch", None)
    assert inference(device, 3) == ("onnxruntime", "cpu")


@pytest.mark.parametrize(
    ("device", "shard", "expected"), [("", 3, "0"), ("0,1", 0, "0"), ("0,1", 1, "1"), ("2,5", 4, "2")]
)
def test_shards_are_assigned_to_the_gpus_in_turn(
    device: str, shard: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # this machine may have none
    assert inference(device, shard) == ("torch", expected)


def test_without_a_gpu_the_cpu_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert inference("", 0) == ("onnxruntime", "cpu")
