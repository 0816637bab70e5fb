"""System errors become one line with the cause and what to do."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from lidloop.errors import DatasetError, LidloopError, cause, doing, one_line


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk that holds /data/out is full"),
        (errno.EDQUOT, "is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.ENOTDIR, "where a folder is needed"),
        (errno.EISDIR, "where a file is needed"),
        (errno.ENAMETOOLONG, "longer than"),
        (errno.ELOOP, "leads back to itself"),
        (errno.ENOENT, "does not exist"),
        (errno.ETIMEDOUT, "/data/out: "),
    ],
)
def test_operating_system_errors_name_path_and_advice(number: int, words: str) -> None:
    with (
        pytest.raises(DatasetError, match=r"^cannot write the labels: ") as caught,
        doing("write the labels", DatasetError),
    ):
        raise OSError(number, os.strerror(number), "/tmp/.out.abc", None, "/data/out")
    assert words in str(caught.value)
    assert "/tmp/" not in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda: b"\xff\xfe".decode(), "byte 0 is not UTF-8"),
        (lambda: "Łucja".encode("latin-1"), "cannot be written as LATIN-1"),
        (lambda: float(10**400), "too large"),
        (lambda: json.loads(nested(100_000)), "nested too deeply"),
        (lambda: (_ for _ in ()).throw(MemoryError), "not enough memory"),
        (lambda: (_ for _ in ()).throw(ConnectionRefusedError(111, "Connection refused")), "refused"),
        (lambda: (_ for _ in ()).throw(OSError("no number")), "no number"),
    ],
)
def test_other_limits_are_named(work: object, words: str) -> None:
    with pytest.raises(LidloopError, match=r"^cannot read faces\.json: ") as caught, doing("read faces.json"):
        assert callable(work)
        next(work()) if hasattr(result := work(), "__next__") else result
    assert words in str(caught.value)


def test_a_loop_of_links_is_named_as_pathlib_raises_it(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(LidloopError, match="loop"), doing("read the labels"):
        (tmp_path / "loop").resolve(strict=True)
    with pytest.raises(RuntimeError, match="a bug"), doing("read"):
        raise RuntimeError("a bug stays visible as one")


def test_other_errors_and_our_own_pass_unchanged() -> None:
    with pytest.raises(KeyError), doing("read"):
        raise KeyError("a bug stays visible as one")
    with pytest.raises(DatasetError, match=r"^as it is$"), doing("read"):
        raise DatasetError("as it is")


def test_one_line_holds_no_control_characters_and_no_word_without_end() -> None:
    said = one_line("a\nb\x1b[2J\u202egpj.exe \udcff Łucja 患者 " + "x" * 22_000)
    assert said.isprintable()
    assert "\\n" in said
    assert "Łucja 患者" in said
    assert len(said) < 400
    assert one_line("plain") == "plain"
    assert "[22000 characters]" in cause(OSError(errno.EIO, "x", "y" * 22_000))
