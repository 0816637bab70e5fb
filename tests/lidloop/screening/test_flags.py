"""Tests of the screening flag: level, sides and reasons by lengths with their bands."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lidloop.screening.flags import LARGEST_BAND, flag_of
from lidloop.screening.measurements import SIDES, EyeMeasurement, Flag, Length, Reason, Side
from lidloop.screening.reasons import KINDS
from lidloop.screening.thresholds import Thresholds

LIMITS = Thresholds(mrd1_suspicious=2.0, mrd1_functional=2.0, asymmetry=1.0, asymmetry_margin=0.4)
LOOKS_ASIDE = Reason("looks-aside", "the eyes look to the side")


def eye(side: Side, mrd1: float | None, band: float = 0.6, withheld: str = "no-pupil") -> EyeMeasurement:
    lid = np.zeros((0, 2))
    lengths = {} if mrd1 is None else {"mrd1": Length(1.0, mrd1, band, "pixels")}
    reasons = {"mrd1": Reason(withheld, f"why {withheld}")} if mrd1 is None else {}
    return EyeMeasurement(side, lengths, None, None, lid, lid, "pixels", 0.9, reasons)


def flag(
    od: float | None, os: float | None, *, band=0.6, gap_band=0.5, pfh=None, limits=LIMITS, **more
) -> Flag:
    """Flag of two MRD1 and their difference; that of PFH is the same unless it is given."""
    eyes = {"OD": eye("OD", od, band), "OS": eye("OS", os, band)}
    differences = {}
    if od is not None and os is not None:
        gap = round(od - os, 2)
        differences = {
            "mrd1": Length(1.0, gap, gap_band, "pixels"),
            "pfh": Length(1.0, gap if pfh is None else pfh, gap_band, "pixels"),
        }
    elif pfh is not None:
        differences = {"pfh": Length(1.0, pfh, gap_band, "pixels")}
    return flag_of(eyes, differences, limits, **more)


@pytest.mark.parametrize(
    ("od", "os", "level", "sides", "codes", "why"),
    [
        (4.5, 4.5, "none", (), [], "both open"),
        (2.5, 2.6, "none", (), [], "a relaxed look, not low enough"),
        (4.0, 4.85, "none", (), [], "0.85 + 0.5 is below 1.4"),
        (4.0, 4.95, "undetermined", (), ["near-threshold"], "0.95 + 0.5 is not below 1.4"),
        (3.0, 4.4, "undetermined", (), ["near-threshold"], "1.4 - 0.5 does not reach 1"),
        (3.0, 4.5, "suspicious", ("OD",), ["asymmetry"], "1.5 - 0.5 reaches 1"),
        (4.5, 1.5, "suspicious", ("OS",), ["asymmetry"], "1.5 + 0.6 is above 2: not functional"),
        (4.5, 1.4, "functional", ("OS",), ["mrd1-functional", "asymmetry"], "1.4 + 0.6 is up to 2"),
        (1.4, 2.4, "functional", ("OD",), ["mrd1-functional", "asymmetry"], "low, and lower by 1"),
        (1.5, 2.5, "undetermined", (), ["near-threshold"], "neither low nor uneven enough"),
        (
            1.2,
            1.4,
            "functional",
            ("OD", "OS"),
            ["mrd1-functional"] * 2 + ["mrd1-suspicious"] * 2,
            "low on both sides",
        ),
        (1.4, 1.9, "undetermined", (), ["near-threshold"], "both low, but the band of OS crosses 2"),
        (4.5, None, "undetermined", (), ["not-judged"], "MRD1 of one side is not known"),
        (1.0, None, "undetermined", (), ["not-judged"], "low, but the eye beside it may be as low"),
        (None, None, "undetermined", (), ["not-judged"] * 2, "nothing known"),
    ],
)
def test_levels(od, os, level, sides, codes, why) -> None:
    found = flag(od, os)
    assert (found.level, found.sides) == (level, sides), why
    assert [reason.code for reason in found.reasons] == codes, why


@pytest.mark.parametrize("mrd1", [-2.0, 0.5, 4.5])
def test_nothing_is_flagged_from_a_length_whose_band_cannot_carry_it(mrd1: float) -> None:
    found = flag(mrd1, 4.5, band=LARGEST_BAND + 0.01, gap_band=3.0)
    assert (found.level, found.sides) == ("undetermined", ())
    assert {reason.code for reason in found.reasons} == {"band-too-wide"}
    assert "sharper picture" in found.reasons[0].text


@given(od=st.floats(-2, 7), os=st.floats(-2, 7), band=st.floats(0.05, 1.2), gap=st.floats(0.05, 1.2))
def test_bands_decide_with_the_estimates(od: float, os: float, band: float, gap: float) -> None:
    """Functional only with the band below the threshold; none only without a difference of 1.4 mm in it."""
    od, os = round(od, 2), round(os, 2)
    found = flag(od, os, band=band, gap_band=gap)
    size = {"OD": od, "OS": os}
    if found.level == "functional":
        assert min(size[side] for side in found.sides) + band <= 2.01
    if found.level == "none":
        assert abs(od - os) + gap < 1.42
        assert max(od, os) > 2.0
    if len(found.sides) == 1:
        assert size[found.sides[0]] == min(od, os)
        assert abs(od - os) >= 0.99
    assert (found.level in ("suspicious", "functional")) == bool(found.sides)
    assert bool(found.reasons) == (found.level != "none")
    assert {reason.code for reason in found.reasons} <= KINDS.keys()


@given(st.floats(-2, 7), st.floats(-2, 7))
def test_exchanged_sides_give_exchanged_flags(od: float, os: float) -> None:
    od, os = round(od, 2), round(os, 2)
    here, there = flag(od, os), flag(os, od)
    assert here.level == there.level
    if od != os:
        assert set(here.sides) == {{"OD": "OS", "OS": "OD"}[side] for side in there.sides}


def test_mrd1_and_pfh_both_count_for_the_difference() -> None:
    """Two to one: a wrong pupil centre changes MRD1 alone, a raised lower lid PFH alone."""
    assert flag(3.0, 4.6).sides == ("OD",)
    assert flag(3.0, 4.6, pfh=0.0).level == "undetermined"
    assert flag(4.0, 4.2, pfh=-1.6).level == "none"
    text = flag(3.0, 4.6, pfh=-1.9).reasons[0].text
    assert text == (
        "OD is lower: MRD1 by 1.6 ± 0.5 mm and PFH by 1.9 ± 0.5 mm, together 1.7 mm, threshold from 1 mm"
    )


def test_pfh_alone_finds_the_lower_lid_where_a_lid_covers_the_pupil() -> None:
    found = flag(None, 4.5, pfh=-3.0)
    assert (found.level, found.sides) == ("suspicious", ("OD",))
    assert "PFH" in found.reasons[0].text
    assert flag(None, 4.5, pfh=-1.0).level == "undetermined"


@pytest.mark.parametrize(("withheld", "level"), [("cut-off", "functional"), ("no-pupil", "undetermined")])
def test_a_close_up_of_one_eye_is_flagged_by_its_mrd1(withheld: str, level: str) -> None:
    eyes = {"OD": eye("OD", 0.5), "OS": eye("OS", None, withheld=withheld)}
    assert flag_of(eyes, {}, LIMITS).level == level


def test_two_low_lids_may_be_a_blink_and_one_low_lid_is_none() -> None:
    both = flag(1.0, 1.0).reasons
    assert sum("blink" in reason.text for reason in both) == 2
    assert not any("blink" in reason.text for reason in flag(1.0, 4.5).reasons)


def test_a_doubt_about_the_picture_leaves_no_judgement() -> None:
    for od, os in ((4.5, 4.5), (1.0, 1.0), (3.0, 4.6)):
        found = flag(od, os, doubts=[LOOKS_ASIDE])
        assert (found.level, found.sides) == ("undetermined", ())
        assert found.reasons[0] == LOOKS_ASIDE


def test_a_large_difference_is_flagged_in_spite_of_a_doubt() -> None:
    assert flag(2.0, 4.5, doubts=[LOOKS_ASIDE]).sides == ("OD",)
    assert flag(2.1, 4.5, doubts=[LOOKS_ASIDE]).level == "undetermined"


def test_a_damaged_file_is_never_flagged_none() -> None:
    damage = Reason("damaged", "the image file may be damaged")
    found = flag(4.5, 4.5, damage=damage)
    assert (found.level, found.sides, found.reasons) == ("undetermined", (), (damage,))
    assert flag(1.0, 4.5, damage=damage).level == "functional"


def test_thresholds_are_those_that_were_given() -> None:
    assert flag(3.0, 4.6, limits=Thresholds(asymmetry=1.2)).level == "undetermined"
    assert flag(1.2, 1.4, limits=Thresholds(mrd1_suspicious=1.0)).level == "undetermined"
    assert flag(3.3, 3.4, limits=Thresholds(mrd1_suspicious=4.0)).sides == SIDES
    assert flag(1.0, 4.5, limits=Thresholds(mrd1_functional=1.5)).level == "suspicious"


@example(mm=1.35, error=0.45)  # ties of the decimal number, which are none in binary
@example(mm=-0.04, error=0.1)
@given(mm=st.floats(-3, 1.3), error=st.floats(0.01, 0.6))
def test_reason_texts_show_the_rounded_millimetres(mm: float, error: float) -> None:
    mm, error = round(mm, 2), round(error, 2)  # as ``measure_face`` rounds them
    found = flag(mm, mm, band=error)
    tenths = [Decimal(f"{v:.2f}").quantize(Decimal("0.1"), ROUND_HALF_UP) for v in (mm, error)]
    shown = " ± ".join(f"{v if v else abs(v)}" for v in tenths)
    assert found.sides == SIDES
    assert all(f" {shown} mm" in reason.text for reason in found.reasons)
