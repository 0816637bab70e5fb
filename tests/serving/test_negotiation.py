"""``Accept`` as RFC 9110 has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.web.problems import Problem
from serving.negotiation import choose

OFFERED = ("application/json", "application/fhir+json", "application/dicom")


@pytest.mark.parametrize(
    ("accept", "chosen", "reason"),
    [
        ("", OFFERED[0], "nothing asked for"),
        (" , ", OFFERED[0], "nothing asked for, in two parts"),
        ("APPLICATION/DICOM", OFFERED[2], "case does not matter"),
        ("application/dicom; q=0.1, application/json; q=0.2", OFFERED[0], "the higher quality"),
        ("*/*;q=0.9, application/json;q=0.1", OFFERED[1], "the more specific range rules"),
        ("application/*, application/json;q=0", OFFERED[1], "0 is not acceptable"),
        ("application/json;charset=utf-8", OFFERED[0], "other parameters do not matter"),
        ("application/dicom;q=2", OFFERED[2], "a quality over 1 is 1"),
    ],
)
def test_the_best_offer(accept: str, chosen: str, reason: str) -> None:
    assert choose(accept, OFFERED) == chosen


@pytest.mark.parametrize("accept", ["text/html", "*/*;q=0", "application/json;q=x", "image/*", "a", ";q=1"])
def test_none_is_acceptable(accept: str) -> None:
    with pytest.raises(Problem) as refused:
        choose(accept, OFFERED)
    assert refused.value.kind == "not-acceptable"


@given(st.text(max_size=60))
def test_any_header_has_an_answer(accept: str) -> None:
    try:
        chosen = choose(accept, OFFERED)
    except Problem as problem:
        chosen = problem.kind
    assert chosen in (*OFFERED, "not-acceptable")
