"""benchmarks/pages/chart.py: every value is documented, and the README says so."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.manifests.render import CHART, ROOT


@pytest.fixture(scope="module")
def document() -> ModuleType:
    """The script as a module; charts/ is no package."""
    spec = importlib.util.spec_from_file_location("document", ROOT / "charts" / "document.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_value_has_its_comment(document: ModuleType) -> None:
    found = document.values((CHART / "values.yaml").read_text())
    assert len(found) > 80
    assert [value.path for value in found if not value.about] == []


def test_the_readme_is_up_to_date(document: ModuleType) -> None:
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


def test_comments_and_defaults(document: ModuleType) -> None:
    found = [tuple(value) for value in document.values(TEXT)]
    assert found == [
        ("a.b", 1, "First line, and second."),
        ("a.c", ["x"], ""),
        ("a.d", {"e": 1}, "A mapping as one value."),
        ("f", {}, ""),
    ]


def test_a_bar_does_not_break_the_table(document: ModuleType) -> None:
    assert document.table([document.Value("a", "x|y", "p|q")]).endswith(
        '| `a` | string | `"x\\|y"` | p\\|q |'
    )


def test_a_readme_without_its_place(document: ModuleType) -> None:
    with pytest.raises(ValueError, match="has no"):
        document.document("# nothing", [])
