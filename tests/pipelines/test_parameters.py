"""Declared parameters: ranges, types, JSON Schema, and that a run's parameters are declared once."""

from __future__ import annotations

import doctest
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipelines import parameters
from pipelines.parameters import declared, from_json, json_schema, parameter, type_problems
from pipelines.settings import RunSettings

ROOT = Path(__file__).parents[2]
TEXT = st.text(max_size=8)


@dataclass(frozen=True, kw_only=True)
class Settings:
    sources: tuple[str, ...] = parameter(help="Sources.", flags=("--source", "-s"), most_entries=2)
    epochs: int = parameter(10, help="Epochs.", minimum=1, maximum=100)
    size: int = parameter(64, help="Size.", minimum=64, maximum=128, multiple_of=32)
    share: float = parameter(0.8, help="Share.", exclusive_minimum=0.0, exclusive_maximum=1.0)
    loss: float = parameter(0.1, help="Loss.", minimum=0.0)
    free: float = parameter(0.0, help="Any number.")
    kind: str = parameter("a", help="Kind.", choices=("a", "b"))
    keep: bool = parameter(True, help="Keep.", flags=("--keep/--drop",))


KNOWN = declared(Settings)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("epochs", 0, "1 or more, not 0"),
        ("epochs", 101, "100 or less, not 101"),
        ("epochs", 10**400, "(401 characters)"),
        ("size", 65, "a multiple of 32, at least 64"),
        ("size", 32, "at least 64"),
        ("size", 160, "at most 128"),
        ("share", 0.0, "between 0 and 1 (0 and 1 excluded)"),
        ("share", 1.0, "between 0 and 1"),
        ("share", math.nan, "between 0 and 1"),
        ("loss", -0.1, "0 or more"),
        ("loss", math.inf, "0 or more, not inf"),
        ("free", math.nan, "a finite number"),
        ("kind", "c", "a or b, not 'c'"),
        ("sources", ("a", "b", "c"), "2 entries at most"),
    ],
)
def test_a_value_outside_its_range_is_reported_with_the_range(name: str, value: Any, says: str) -> None:
    assert says in str(KNOWN[name].problem(value))


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 1), ("epochs", 100), ("size", 64), ("size", 128), ("share", 0.5), ("loss", 0.0)],
)
def test_bounds_that_are_allowed(name: str, value: Any) -> None:
    assert KNOWN[name].problem(value) is None


def test_types_and_unknown_names_are_reported_together() -> None:
    given = {"epochs": True, "share": 1, "loss": 10**400, "sources": ["a", 1], "kind": 3, "what": 0}
    assert dict(type_problems(Settings, given)) == {
        "epochs": "must be a whole number",
        "loss": "is too large",
        "sources": "must be a list of strings",
        "kind": "must be a string",
        "what": f"there is no such parameter; there are {', '.join(KNOWN)}",
    }


def test_json_values_become_values_of_the_dataclass() -> None:
    assert from_json(Settings, {"sources": ["a"], "share": 1}) == {"sources": ("a",), "share": 1.0}
    assert type(from_json(Settings, {"loss": 1})["loss"]) is float


def test_flags_of_the_command_line() -> None:
    assert (KNOWN["sources"].flag, KNOWN["epochs"].flag) == ("--source", "--epochs")
    assert (KNOWN["keep"].flag, KNOWN["keep"].negative_flag) == ("--keep", "--drop")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "sources": st.lists(TEXT, max_size=4),
            "epochs": st.integers(-2, 103),
            "size": st.integers(30, 170),
            "share": st.floats(-0.5, 1.5) | st.sampled_from([0.0, 1.0]),
            "loss": st.floats(-1, 1),
            "kind": st.sampled_from(["a", "b", "c"]),
            "keep": st.booleans() | st.integers(0, 1),
        },
    )
)
def test_the_json_schema_accepts_what_the_checks_accept(values: dict[str, Any]) -> None:
    problems = list(type_problems(Settings, values))
    problems = problems or [
        (name, text) for name, value in values.items() if (text := KNOWN[name].problem(value))
    ]
    valid = Draft202012Validator(json_schema(Settings)).is_valid(values)
    assert valid == (not problems)


def test_the_example_of_the_module() -> None:
    assert doctest.testmod(parameters).failed == 0


def test_patience_is_declared_once() -> None:
    """The declaration holds meaning and range; the library gives the default, and KFP needs literals."""
    pattern = re.compile(r"^\s*\"?patience\"?\s*:\s*(int|Annotated|\d)", re.MULTILINE)
    found = {
        str(file.relative_to(ROOT))
        for package in ("lidloop", "components", "pipelines", "serving")
        for file in (ROOT / package).rglob("*.py")
        if pattern.search(file.read_text())
    }
    assert found == {
        "pipelines/settings.py",  # the declaration
        "lidloop/training/fine_tune.py",  # the library's field, whose default the declaration takes
        "pipelines/refinement.py",  # KFP's literal signatures, compared by tests
        "components/train.py",
    }


def test_every_parameter_of_a_run_has_a_help_text_and_a_group() -> None:
    for name, known in declared(RunSettings).items():
        assert known.declaration.help.endswith("."), name
        assert known.declaration.group, name
