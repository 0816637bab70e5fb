from __future__ import annotations

from benchmarks.pages import chart

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


def test_values_have_their_defaults_and_comments() -> None:
    assert [tuple(value) for value in chart.values(TEXT)] == [
        ("a.b", 1, "First line, and second."),
        ("a.c", ["x"], ""),
        ("a.d", {"e": 1}, "A mapping as one value."),
        ("f", {}, ""),
    ]
