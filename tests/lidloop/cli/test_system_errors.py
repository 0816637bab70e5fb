"""Errors of the operating system reach the user as one line with what was done, where and what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from lidloop.data.dataset import Dataset, LabelVersion
from tests.command_line import lidloop


def refused(done: subprocess.CompletedProcess[str], *words: str | Path) -> str:
    """The one line of an error."""
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert str(word) in lines[0]
    return lines[0]


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    """A file where a command wants a folder."""
    file = tmp_path / "taken"
    file.write_text("in the way")
    return file


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "photo.png"
    cv2.imwrite(str(file), np.full((64, 64, 3), 128, np.uint8))
    return file


@pytest.mark.parametrize("below", ["", "a", "a/b"])
def test_a_file_in_place_of_a_folder(
    drawn: tuple[Dataset, LabelVersion], model_folder: Path, taken: Path, photo: Path, below: str
) -> None:
    place = taken / below if below else taken
    source = f"yolo:{drawn[0].root.parent / 'faces'}"
    refused(lidloop("synthesize", place, "--images", "1"), taken)
    refused(lidloop("convert", "-s", source, "-o", place), taken)
    refused(lidloop("detect", photo, "-m", model_folder, "--draw", place), taken)
    refused(lidloop("registry", "list", "--registry", place), taken)
    refused(lidloop("report", place), taken)
    refused(lidloop("store", "pull", drawn[0].root, place), taken)
    assert taken.read_text() == "in the way"


@pytest.mark.parametrize("name", ["x" * 300, "loop"])
def test_names_that_the_file_system_refuses(
    tmp_path: Path, photo: Path, model_folder: Path, name: str
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for done in (
        lidloop("synthesize", tmp_path / name, "--images", "1"),
        lidloop("detect", photo, "-m", model_folder, "--draw", tmp_path / name),
        lidloop("registry", "list", "--registry", tmp_path / name),
        lidloop("report", tmp_path / name),
    ):
        assert len(refused(done)) < 700


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_stdout() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "lidloop.cli", "--version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "full" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_reader_that_stops_is_no_error() -> None:
    command = [sys.executable, "-m", "lidloop.cli", "--help"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    process.wait()
    assert "Traceback" not in said
    assert "Exception ignored" not in said


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Path:
    """A file system of 200 kB; skips where none can be mounted."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=200k", "tmpfs", place], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("a small tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", place], check=False)


def test_a_full_disk_leaves_nothing_behind(
    tiny_disk: Path, drawn: tuple[Dataset, LabelVersion], model_folder: Path, tmp_path: Path
) -> None:
    source = f"yolo:{drawn[0].root.parent / 'faces'}"
    photo = tmp_path / "noise.png"
    cv2.imwrite(str(photo), np.random.default_rng(0).integers(0, 255, (600, 600, 3), np.uint8))
    for done in (
        lidloop("synthesize", tiny_disk / "faces", "--images", "60"),
        lidloop("convert", "-s", source, "-o", tiny_disk / "set"),
        lidloop("detect", photo, "-m", model_folder, "--draw", tiny_disk / "drawn"),
    ):
        refused(done, "full", tiny_disk)
    assert [path for path in tiny_disk.rglob("*") if path.is_file()] == []
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    for done in (
        lidloop("synthesize", tiny_disk / "faces", "--images", "1"),
        lidloop("detect", photo, "-m", model_folder, "--draw", tiny_disk / "drawn2"),
        lidloop("registry", "promote", "1", "--registry", tiny_disk),
        lidloop("store", "pull", drawn[0].root, tiny_disk / "set2"),
    ):
        refused(done, tiny_disk)


def test_verbose_shows_the_stack(taken: Path) -> None:
    done = lidloop("-v", "synthesize", taken / "a", "--images", "1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_detect_goes_on_after_names_that_cannot_be_read(
    drawn: tuple[Dataset, LabelVersion], model_folder: Path, tmp_path: Path
) -> None:
    good = drawn[0].path(drawn[0].records[0].id)
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    bad = [tmp_path / ("x" * 300), tmp_path / "loop.jpg", tmp_path, tmp_path / "a\nb.jpg"]
    done = lidloop("detect", *bad, good, "-m", model_folder)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == len(bad)
    assert str(good) in done.stdout
