"""docs/FORMATS.md and README.md list every kind of source, option value and reason of a reject."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from lidloop.data.fit import FITS
from lidloop.data.formats.records import Reason
from lidloop.data.sources import KINDS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "FORMATS.md").read_text()


@pytest.mark.parametrize("page", ["README.md", "docs/FORMATS.md"])
def test_every_kind_of_source_is_documented(page: str) -> None:
    listed = re.findall(r"^\| `(\w+:[\w.]+)` \|", (ROOT / page).read_text(), re.MULTILINE)
    assert listed == [f"{kind}:{place}" for kind, place in KINDS.items()]


def test_every_value_of_fit_is_documented() -> None:
    assert re.findall(r"^\| `fit=(\w+)` \|", PAGE, re.MULTILINE) == [fit for fit in FITS if fit]


def test_every_reason_of_a_reject_is_documented() -> None:
    table = PAGE.partition("## Reasons of rejects")[2]
    assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == list(get_args(Reason))
