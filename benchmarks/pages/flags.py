"""Tables of the flag's thresholds and reasons for docs/SERVING.md, from their declarations."""

from __future__ import annotations

from typing import Final

from benchmarks.pages.markdown import table
from lidloop.screening.reasons import KINDS, WITHHOLD_JUDGEMENT
from lidloop.screening.thresholds import THRESHOLDS
from serving.settings import PREFIX

_SUBJECTS: Final = {
    "picture": "problem of the picture",
    "length": "a length is withheld",
    "flag": "the flag",
    "request": "the request",
}


def thresholds() -> str:
    """Setting, default and meaning of each threshold, as a Markdown table."""
    rows = [
        (f"`{PREFIX}{name.upper()}`", f"{threshold.default:g}", threshold.text)
        for name, threshold in THRESHOLDS.items()
    ]
    return table(("setting", "mm", "meaning"), rows)


def reasons() -> str:
    """Code, subject and definition of each reason, as a Markdown table."""
    rows = []
    for code, kind in KINDS.items():
        judged = " No judgement." if code in WITHHOLD_JUDGEMENT else ""
        rows.append((f"`{code}`", _SUBJECTS[kind.subject], kind.definition + judged))
    return table(("code", "of", "meaning"), rows)
