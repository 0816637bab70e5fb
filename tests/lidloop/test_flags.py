"""What flags say."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from lidloop.flags import flag_of
from lidloop.measurements import EyeMeasurement, Length, Side, Thresholds


def eye(side: Side, mrd1: Length) -> EyeMeasurement:
    lid = np.zeros((0, 2))
    return EyeMeasurement(side, {"mrd1": mrd1}, None, None, lid, lid, "landmarks", 0.0, {})


@example(mm=2.346, error=0.5)  # 2.3 by itself, 2.4 by way of the answer's 2.35
@given(mm=st.floats(-3, 3.9), error=st.floats(0.01, 3))
def test_reasons_and_figures_of_an_answer_agree_to_a_tenth(mm: float, error: float) -> None:
    """Answers carry two decimals; whoever shows one of them must not contradict the sentence beside it."""
    length = Length(1.0, mm, error)
    flag = flag_of({"OD": eye("OD", length), "OS": eye("OS", Length(1.0, 5.0, 0.1))}, {}, Thresholds())
    shown = f"{round(mm, 2):.1f} ± {round(error, 2):.1f} mm"
    reasons = [reason.text for reason in flag.reasons if reason.text.startswith("OD")]
    assert reasons
    assert all(shown in text for text in reasons)
