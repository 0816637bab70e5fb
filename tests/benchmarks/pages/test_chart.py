"""benchmarks/pages/chart.py: every value is documented, and the README says so."""

from __future__ import annotations

import pytest

from benchmarks.pages import chart as document
from tests.manifests.render import CHART


def test_every_value_has_its_comment() -> None:
    found = document.values((CHART / "values.yaml").read_text())
    assert len(found) > 80
    assert [value.path for value in found if not value.about] == []


def test_the_readme_is_up_to_date() -> None:
    readme = (CHART / "README.md").read_text()
    found = document.values((CHART / "values.yaml").read_text())
    assert document.document(readme, found) == readme, "run: python benchmarks/pages/chart.py"


TEXT = """\
# About the file, not a value.

a:
  # -- First line,
  # and second.
  b: 1
  # Not a doc comment.
  c: [x]
  # -- A mapping as one value.
  d: {e: 1}
f: {}
"""


def test_comments_and_defaults() -> None:
    found = [tuple(value) for value in document.values(TEXT)]
    assert found == [
        ("a.b", 1, "First line, and second."),
        ("a.c", ["x"], ""),
        ("a.d", {"e": 1}, "A mapping as one value."),
        ("f", {}, ""),
    ]


def test_a_bar_does_not_break_the_table() -> None:
    assert document.table([document.Value("a", "x|y", "p|q")]).endswith(
        '| `a` | string | `"x\\|y"` | p\\|q |'
    )


def test_a_readme_without_its_place() -> None:
    with pytest.raises(ValueError, match="has no"):
        document.document("# nothing", [])
