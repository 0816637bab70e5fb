"""Documentation names what exists: link targets, anchors, commands, options, modules, make targets."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pytest
import typer

from tests.manifests.cli import root

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / ".github").rglob("*.md"),
        *(path for folder in ("docs", "charts", "k8s") for path in (ROOT / folder).rglob("*.md")),
    ]
)
_FENCE: Final = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_SHELL: Final = re.compile(r"^```(?:sh|bash)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def links(text: str) -> list[str]:
    """Targets of the links and pictures outside code."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))
    return _LINK.findall(prose)


def anchors(text: str) -> set[str]:
    """Anchors that GitHub gives to the headings of a page."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.*?) *#*$", _FENCE.sub("", text), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead to no file, to no heading, or out of the repository."""
    broken = []
    for target in links(page.read_text()):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / unquote(path)).resolve() if path else page
        found = file.exists() and file.is_relative_to(ROOT)
        if found and anchor and file.suffix == ".md":
            found = anchor in anchors(file.read_text())
        if not found:
            broken.append(target)
    return broken


def lidloop_commands(text: str) -> Iterator[list[str]]:
    """Arguments of every ``lidloop`` command in the shell blocks of a page."""
    for block in _SHELL.findall(text):
        lines = re.sub(r"(^|\s)#.*$", "", block.replace("\\\n", " "), flags=re.MULTILINE)
        for found in re.finditer(
            r"(?:^|\$\(|[|;&] )\s*(?:\.venv/bin/)?lidloop ([a-z][^|;&)\n]*)", lines, re.MULTILINE
        ):
            yield shlex.split(found[1])


def unknown_words(arguments: list[str]) -> list[str]:
    """The command, or the options of it, that ``lidloop`` does not have."""
    command, rest = root(), list(arguments)
    while isinstance(command, typer.core.TyperGroup) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        if name not in command.commands:
            return [name]
        command = command.commands[name]
    known = {name for parameter in command.params for name in parameter.opts + parameter.secondary_opts}
    given = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    return [word for word in given if word not in known | {"--help"}]


@every_page
def test_relative_links_resolve(page: Path) -> None:
    assert broken_links(page) == []


@every_page
def test_lidloop_commands_and_options_exist(page: Path) -> None:
    wrong = {
        " ".join(c): unknown for c in lidloop_commands(page.read_text()) if (unknown := unknown_words(c))
    }
    assert wrong == {}


@every_page
def test_modules_that_are_run_exist(page: Path) -> None:
    named = set(
        re.findall(r"python3? -m ((?:benchmarks|charts|lidloop|pipelines|serving)[\w.]*)", page.read_text())
    )
    assert {name for name in named if importlib.util.find_spec(name) is None} == set()


@every_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w./-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z][\w.-]*)", page.read_text(), re.MULTILINE))
    assert named <= targets


def test_index_lists_every_page() -> None:
    """``docs/README.md`` for docs/ and docs/reports/, ``docs/runbooks/README.md`` for the runbooks."""
    for folder, pattern in (("docs", "*.md"), ("docs/runbooks", "*.md"), ("docs", "reports/*.md")):
        index = ROOT / folder / "README.md"
        linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(index.read_text())}
        assert set((ROOT / folder).glob(pattern)) - {index} <= linked


def test_readme_lists_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = (ROOT / "README.md").read_text().partition("\nextras add them:")[2].partition(".")[0]
    assert set(re.findall(r"`([\w-]+)`", extras)) == set(project["optional-dependencies"])


def test_architecture_shows_every_layer() -> None:
    """The diagram has the layers of the contract for import-linter, in their order."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["id"] == "library"]
    names = [name for layer in layers for name in re.split(r" [|:] ", layer)]
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text().partition("### Layers of `lidloop/`")[2]
    diagram = page.partition("```mermaid")[2].partition("```")[0]
    assert re.findall(r"\w+", " ".join(re.findall(r'"(.*?)"', diagram))) == names


def test_messages_in_the_troubleshooting_table_exist() -> None:
    table = (ROOT / "docs" / "PIPELINE.md").read_text().partition("## Troubleshooting")[2]
    quoted = re.findall(r"^\| (?:[\w ]*with )?`([a-z][^`]* [^`]*)`", table, re.MULTILINE)
    source = "\n".join(path.read_text() for path in sorted((ROOT / "pipelines").rglob("*.py")))
    assert len(quoted) >= 5
    assert [message for message in quoted if message not in source] == []


def test_links_are_found_outside_code_only() -> None:
    text = "[a](b.md#c) ![d](e.png) `[f](g)`\n```\n[h](i)\n```\n[j](https://k)"
    assert links(text) == ["b.md#c", "e.png", "https://k"]


def test_anchors_are_those_of_github() -> None:
    text = "# A `b` & c\n## What was tried, and what was not\n## [x](y) z\n## A\n## A\n```\n# no\n```\n"
    assert anchors(text) == {"a-b--c", "what-was-tried-and-what-was-not", "x-z", "a", "a-1"}


def test_broken_links_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](#here) [b](#there) [c](gone.md) [d](page.md#here) [e](page.md#x) [f](../up.md)"
    )
    (tmp_path.parent / "up.md").touch()
    assert broken_links(page) == ["#there", "gone.md", "page.md#x", "../up.md"]


def test_unknown_commands_and_options_are_seen() -> None:
    text = (
        '```sh\nKEY=$(lidloop serve-key "a b" --scope x)  # lidloop nothing\n'
        "kubectl -n lidloop get pods\nlidloop run --no-such \\\n  -o x\n```"
    )
    first, second = lidloop_commands(text)
    assert first == ["serve-key", "a b", "--scope", "x"]
    assert unknown_words(first) == []
    assert unknown_words(second) == ["--no-such"]
    assert unknown_words(["store", "fly"]) == ["fly"]
    assert unknown_words(["store", "push", "a", "s3://b", "--registry", "c"]) == []
