"""Output survives pipes, narrow encodings, rich's markup and control characters."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys

import pytest

from lidloop.cli import console

LONG = "a-run-with-a-name-" * 12


def printed(capsys: pytest.CaptureFixture[str], *cells: str) -> str:
    table = console.new_table("run", "state", *["x"] * (len(cells) - 2), right=("state",))
    console.add_row(table, *cells)
    console.console().print(table)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["[v1]", "[bold]x[/bold]", "[/]", ":smile:", "a[link=http://x]b", "\\[v1]", "Łucja 患者"]
)
def test_text_of_users_is_printed_as_it_is(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert name in printed(capsys, name, "ok")
    console.say(f"{name}: done")
    assert capsys.readouterr().out == f"{name}: done\n"
    console.fail(ValueError(name))
    assert name in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["20", "80"])
def test_tables_are_not_cut_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = printed(capsys, LONG, "s" * 200, "t" * 90).splitlines()
    assert len(lines) == 5
    assert LONG in lines[3]
    assert len({len(line) for line in lines}) == 1


def test_nothing_is_lost_on_a_narrow_terminal() -> None:
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    from rich.console import Console

    stream = Terminal()
    table = console.new_table("run", "state")
    console.add_row(table, LONG, "ok")
    Console(file=stream, width=40, markup=False, color_system=None).print(table)
    assert stream.getvalue().count("run-with") + stream.getvalue().count("name") >= 12
    assert "…" not in stream.getvalue()


def test_control_characters_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\nb\x1b[2Jc\r\u202egpj"
    for text in (printed(capsys, hostile, "ok"),):
        assert "\x1b" not in text
        assert "\\n" in text
        assert len(text.splitlines()) == 5
    console.say(hostile)
    console.fail(ValueError(hostile))
    for text in capsys.readouterr():
        assert text.count("\n") == 1
        assert "\x1b[2J" not in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252"])
def test_any_encoding_prints_any_text(encoding: str) -> None:
    code = """
import logging
from lidloop.cli import console
console.prepare_streams()
console.set_up_logging(verbose=False)
table = console.new_table("★ run", "±")
console.add_row(table, "患者 é", "✓ \\udcff")
console.console().print(table)
console.say("Łucja … ★")
console.fail(ValueError("Łucja – 患者"))
logging.getLogger("lidloop").info("患者 → é")
with console.progress("患者 …") as update:
    update(1, 2)
"""
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=env, check=False)
    assert done.returncode == 0, done.stderr.decode(encoding)
    out, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert len(out.splitlines()) == 6
    assert "Logging error" not in err
    assert ("患者" if encoding == "utf-8" else "\\u60a3\\u8005") in out
    assert ("★" if encoding == "utf-8" else "*") in out


def test_escapes_keep_json_valid() -> None:
    code = """
import json
from lidloop.cli import console
console.prepare_streams()
print(json.dumps(["患者", "é", "😀"], ensure_ascii=False))
"""
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=env, check=True)
    assert json.loads(done.stdout) == ["患者", "é", "😀"]


def test_log_lines_are_whole_and_of_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    root, logger = logging.getLogger(), logging.getLogger("lidloop")
    before, level, handlers = root.handlers[:], logger.level, root.handlers
    try:
        root.handlers = []
        console.set_up_logging(verbose=False)
        logger.info("%s [v1] \n%s", LONG, "x" * 100)
        logger.debug("hidden")
    finally:
        root.handlers, logger.level = before, level
        assert handlers is not None
    assert capsys.readouterr().err == f"{LONG} [v1] \\n{'x' * 100}\n"
