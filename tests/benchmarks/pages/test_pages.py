"""Generated pages are those that their stored figures and the code give."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest

from benchmarks.common import DATA, DOCS
from benchmarks.pages import sections
from benchmarks.pages.__main__ import PAGES, main
from benchmarks.pages.markdown import FILTERS, ROOT, duration, number, percent, quantiles, render, table
from benchmarks.pages.protocols import protocols_page

IMAGES = Path("reports/images")
MEASURED = [PAGE for PAGE in PAGES if PAGE not in (protocols_page, sections.write_all)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pages made from the stored figures."""
    docs = tmp_path_factory.mktemp("pages") / "docs"
    shutil.copytree(DOCS / DATA, docs / DATA)
    for make in MEASURED:
        assert make(docs), make.__name__
    return docs


def test_stored_pages_are_those_of_the_stored_figures(written: Path) -> None:
    pages = sorted(path.relative_to(written) for path in written.rglob("*.md"))
    assert len(pages) > len(MEASURED) // 2
    for page in pages:
        assert (written / page).read_text() == (DOCS / page).read_text(), f"{page}: run `make docs`"


def test_generated_images_are_the_stored_ones(written: Path) -> None:
    made = {path.relative_to(written) for path in (written / IMAGES).rglob("*.*")}
    assert made == {path.relative_to(DOCS) for path in (DOCS / IMAGES).rglob("*.*")}
    linked = {
        (path.parent / link).resolve().relative_to(written)
        for path in written.rglob("*.md")
        for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", path.read_text())
    }
    assert linked == made


def test_stored_figures_do_not_change(written: Path) -> None:
    for path in (DOCS / DATA).iterdir():
        assert (written / DATA / path.name).read_bytes() == path.read_bytes()


def test_every_table_has_rows_of_one_width(written: Path) -> None:
    for path in written.rglob("*.md"):
        for block in re.findall(r"(?:^\|.*\n)+", path.read_text(), re.MULTILINE):
            widths = {len(re.split(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(widths) == 1, block


@pytest.mark.parametrize(("page", "name"), sections.SECTIONS, ids=lambda value: value)
def test_sections_of_written_pages_are_current(page: str, name: str) -> None:
    text = (DOCS.parent / page).read_text()
    made = sections.SECTIONS[page, name]()
    assert sections.replaced(text, name, made) == text, "run `make docs`"
    assert made.count("\n") > 4


def test_a_page_without_the_marks_of_a_section_is_rejected() -> None:
    with pytest.raises(ValueError, match="settings"):
        sections.replaced("no marks", "settings", "")


def test_without_stored_figures_no_report_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.pages.__main__.PAGES", MEASURED)
    main(["--docs", str(tmp_path)])
    assert "drift_page: no figures stored" in capsys.readouterr().out
    assert not (tmp_path / "reports").exists()


@pytest.fixture
def template() -> Iterator[str]:
    path = ROOT / "test-template.md.j2"
    path.write_text("{{ known | percent }} {{ unknown }}")
    yield path.name
    path.unlink()


def test_an_undefined_name_is_an_error(template: str) -> None:
    assert render(template, known=0.5, unknown="<a>") == "50.0 % <a>\n"
    with pytest.raises(jinja2.UndefinedError, match="unknown"):
        render(template, known=0.5)


def test_number_formats() -> None:
    assert [number(1234.56, 1), number(1234.5, comma=False), number(None)] == ["1,234.6", "1234", "–"]
    assert [percent(0.1234), percent(None), quantiles([1, 2.345])] == ["12.3 %", "–", "1.00 / 2.35"]
    assert [duration(s) for s in (119, 120, 7199, 86400 * 2, 86400 * 994)] == [
        "119 s", "2.0 min", "120 min", "2.0 d", "994 d",
    ]  # fmt: skip
    assert table(["a"], [["x|y\nz"]]) == "| a |\n| --- |\n| x\\|y z |"
    assert FILTERS["bytes"](27_100) == "27.1 kB"
