"""Tests of the screening flag: level, sides and reasons."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lidloop.screening.flags import flag_of
from lidloop.screening.measurements import EyeMeasurement, Length, Side, Thresholds


def eye(side: Side, mrd1: Length) -> EyeMeasurement:
    lid = np.zeros((0, 2))
    return EyeMeasurement(side, {"mrd1": mrd1}, None, None, lid, lid, "landmarks", 0.0, {})


@example(mm=2.35, error=0.45)  # ties of the decimal number, which is no tie in binary
@example(mm=-0.04, error=0.1)
@given(mm=st.floats(-3, 3.9), error=st.floats(0.01, 3))
def test_reason_texts_show_the_rounded_millimetres(mm: float, error: float) -> None:
    mm, error = round(mm, 2), round(error, 2)  # as ``measure_face`` rounds them
    flag = flag_of(
        {"OD": eye("OD", Length(1.0, mm, error)), "OS": eye("OS", Length(1.0, 5.0, 0.1))}, {}, Thresholds()
    )
    tenths = [Decimal(f"{v:.2f}").quantize(Decimal("0.1"), ROUND_HALF_UP) for v in (mm, error)]
    shown = " ± ".join(f"{v if v else abs(v)}" for v in tenths)
    reasons = [reason.text for reason in flag.reasons if reason.text.startswith("OD")]
    assert reasons
    assert all(f" {shown} mm" in text for text in reasons)


def test_a_damaged_file_is_never_flagged_none() -> None:
    eyes = {side: eye(side, Length(1.0, 6.0, 0.1)) for side in ("OD", "OS")}
    assert flag_of(eyes, {}, Thresholds()).level == "none"
    flag = flag_of(eyes, {}, Thresholds(), damaged=True)
    assert (flag.level, flag.sides) == ("undetermined", ())
    assert "damaged" in flag.reasons[-1].text
    eyes["OS"] = eye("OS", Length(1.0, 1.0, 0.1))
    assert flag_of(eyes, {}, Thresholds(), damaged=True).level == "functional"


@pytest.mark.parametrize(
    ("od", "os", "difference", "level", "sides", "codes", "why"),
    [
        (4.5, 4.5, 0.0, "none", (), [], "both open"),
        (4.0, 4.5, -0.5, "none", (), [], "4 mm is not under 4 mm"),
        (3.99, 4.5, -0.51, "suspicious", ("OD",), ["mrd1-suspicious"], "just under"),
        (4.5, 2.01, 2.49, "suspicious", ("OS",), ["mrd1-suspicious", "asymmetry"], "low and uneven"),
        (2.0, 4.5, -2.5, "functional", ("OD",), ["mrd1-functional", "asymmetry"], "up to 2 mm is functional"),
        (
            -1.0,
            1.0,
            -2.0,
            "functional",
            ("OD", "OS"),
            ["mrd1-functional"] * 2 + ["asymmetry"],
            "both, one covers",
        ),
        (6.5, 4.4, 2.1, "suspicious", ("OS",), ["asymmetry"], "uneven though both are open"),
        (4.5, None, None, "undetermined", (), ["not-judged"], "MRD1 of one side is not known"),
        (3.0, None, None, "suspicious", ("OD",), ["mrd1-suspicious"], "one side is enough to flag"),
        (None, None, None, "undetermined", (), ["not-judged"], "nothing known"),
    ],
)
def test_levels(od, os, difference, level, sides, codes, why) -> None:
    """No error bands, so that only the estimates decide."""
    eyes = {side: eye(side, Length(1.0, mm)) for side, mm in (("OD", od), ("OS", os))}
    differences = {} if difference is None else {"mrd1": Length(1.0, difference)}
    flag = flag_of(eyes, differences, Thresholds())
    assert (flag.level, flag.sides) == (level, sides), why
    assert [reason.code for reason in flag.reasons] == codes, why


def test_sides_are_compared_by_pfh_if_mrd1_is_not_known_on_both() -> None:
    eyes = {side: eye(side, Length(1.0)) for side in ("OD", "OS")}
    flag = flag_of(eyes, {"pfh": Length(-9.0, -2.2), "brow_lid": Length(9.0, 9.0)}, Thresholds())
    assert (flag.level, flag.sides) == ("suspicious", ("OD",))
    assert "PFH" in flag.reasons[0].text
    assert flag_of(eyes, {"pfh": Length(-9.0, -1.9)}, Thresholds()).level == "undetermined"


def test_error_band_across_a_threshold_adds_a_reason_but_keeps_the_level() -> None:
    eyes = {side: eye(side, Length(1.0, 4.2, 0.3)) for side in ("OD", "OS")}
    flag = flag_of(eyes, {"mrd1": Length(0.0, 0.0, 0.4)}, Thresholds())
    assert flag.level == "none"
    assert [reason.code for reason in flag.reasons] == ["near-threshold"] * 2
    assert "4 mm" in flag.reasons[0].text
    wide = flag_of(eyes, {"mrd1": Length(0.0, 0.0, 0.4)}, Thresholds(mrd1_suspicious=5.0))
    assert wide.level == "suspicious"
    assert [reason.code for reason in wide.reasons] == ["mrd1-suspicious"] * 2


@given(st.floats(-5, 8), st.floats(-5, 8), st.floats(0.5, 6))
def test_mirrored_sides_give_mirrored_flags(od: float, os: float, limit: float) -> None:
    def flag(first: float, second: float):
        eyes = {"OD": eye("OD", Length(1.0, first)), "OS": eye("OS", Length(1.0, second))}
        return flag_of(eyes, {"mrd1": Length(1.0, first - second)}, Thresholds(asymmetry=limit))

    here, there = flag(od, os), flag(os, od)
    assert here.level == there.level
    if od != os:
        assert {"OD": "OS", "OS": "OD"}.keys() >= set(here.sides)
        assert set(here.sides) == {{"OD": "OS", "OS": "OD"}[side] for side in there.sides}
