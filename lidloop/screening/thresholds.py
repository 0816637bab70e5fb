"""Thresholds of the flag, declared once: settings, parameters, options, schema and docs derive from them.

Sources. MRD1 of healthy adults at rest is 4 to 5 mm in textbooks, and MRD1 up to 2 mm is the usual limit of
a ptosis that narrows the visual field. Normal MRD1 differs between populations (Murchison et al. 2009, 112
adults of four groups, doi 10.1001/archfacial.2009.9); no default follows one of the groups, and a site can
set its own. The thresholds of the difference were chosen on photographs of people who were not selected for
ptosis, and on the same photographs with one lid lowered by 2 mm; so was ``mrd1_suspicious``: people in
snapshots narrow their eyes, and two low lids are the weaker sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple

from lidloop.errors import LidloopError

LARGEST: Final = 100.0
"""Largest threshold in millimetres that is accepted. An eye opens about 10 mm: more switches a sign off or
on."""


def _threshold(default: float, text: str) -> Any:
    return field(default=default, metadata={"text": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Thresholds of the flag in millimetres.

    Raises:
        LidloopError: for a threshold that is not between 0 and ``LARGEST``.
    """

    mrd1_suspicious: float = _threshold(
        1.75,
        "MRD1 that is suspicious: on both sides, or on the lower side if the sides differ by `asymmetry`; "
        "MRD1 plus its error band must not exceed it",
    )
    mrd1_functional: float = _threshold(
        2.0, "MRD1 of a flagged side that is functional; MRD1 plus its error band must not exceed it"
    )
    asymmetry: float = _threshold(
        1.1, "difference between the sides that is suspicious; the difference minus its error band reaches it"
    )
    asymmetry_margin: float = _threshold(
        0.2,
        "for `none` the difference plus its error band is below `asymmetry` plus this; larger: more faces "
        "are judged, and more ptosis is missed",
    )

    def __post_init__(self) -> None:
        for name in (entry.name for entry in fields(Thresholds)):
            value = getattr(self, name)
            if not 0 < value <= LARGEST:  # written so that NaN fails, too
                raise LidloopError(f"{name} must be more than 0 and at most {LARGEST:g} mm, got {value}")


class Threshold(NamedTuple):
    """Declaration of a threshold: its name, default in millimetres, and meaning."""

    name: str
    default: float
    text: str


THRESHOLDS: Final[Mapping[str, Threshold]] = {
    entry.name: Threshold(entry.name, float(entry.default), str(entry.metadata["text"]))  # type: ignore[arg-type]
    for entry in fields(Thresholds)
}
"""Declarations by name."""
