"""Number of faces that people have decided on, by the iteration that found them. Pure functions.

The counts are written into ``version.json`` of a reviewed label version, from where the exporter reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from lidloop.evaluation.intervals import Estimate, share_of
from lidloop.labels import HUMAN

Kind = Literal["grown", "dropped"]
KINDS: Final[tuple[Kind, ...]] = ("grown", "dropped")


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Number of faces by what holds for them now.

    Attributes:
        confirmed, corrected, declined: by the last decision that was applied.
        open: only decisions without effect: people disagree or are unsure.
    """

    confirmed: int = 0
    corrected: int = 0
    declined: int = 0
    open: int = 0

    def __add__(self, other: Verdicts) -> Verdicts:
        return Verdicts(*(getattr(self, name) + getattr(other, name) for name in NAMES))

    @property
    def wrong(self) -> Estimate:
        """Share of corrected and declined faces among those decided, with Wilson's 95 % interval.

        For grown labels this is the share of wrong labels among the reviewed ones, not among all: the review
        queue shows those first that are likely wrong.
        """
        bad = self.corrected + self.declined
        return share_of(bad, bad + self.confirmed)


NAMES: Final = tuple(field.name for field in fields(Verdicts))


@dataclass(frozen=True, slots=True)
class Tally:
    """Verdicts on the faces that one iteration found.

    Attributes:
        iteration: its number.
        kind: ``grown`` labels, or ``dropped`` faces.
        verdicts: counts.
    """

    iteration: int
    kind: Kind
    verdicts: Verdicts

    def to_json(self) -> dict[str, Any]:
        """Return all numbers by name, ready for JSON."""
        counts = {name: getattr(self.verdicts, name) for name in NAMES}
        return {"iteration": self.iteration, "kind": self.kind, **counts}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Tally:
        """Read what ``to_json`` returned.

        Raises:
            ValueError: for anything else.
        """
        kind = next((name for name in KINDS if name == content.get("kind")), None)
        numbers = [content.get(name) for name in ("iteration", *NAMES)]
        if kind is None or not all(isinstance(n, int) and n >= 0 for n in numbers):
            raise ValueError("a count of reviewed faces is damaged")
        return cls(content["iteration"], kind, Verdicts(**{name: content[name] for name in NAMES}))


def tally(rows: Sequence[Mapping[str, Any]]) -> list[Tally]:
    """Count the faces of the table of decisions, by iteration and kind.

    Human labels, added faces, and faces of tables without the column ``origin`` are left out.

    Args:
        rows: all decisions that a version carries, in the order of their imports.
    """
    first: dict[str, Mapping[str, Any]] = {}
    standing: dict[str, str] = {}
    for row in rows:
        first.setdefault(row["face"], row)
        if row["outcome"] == "applied":
            standing[row["face"]] = row["verdict"]
    counts: dict[tuple[int, Kind], dict[str, int]] = {}
    for face, row in first.items():
        origin = row.get("origin")
        if origin is None or origin == HUMAN or row["verdict"] == "added":
            continue
        kind: Kind = "grown" if row["before"] else "dropped"
        counts.setdefault((int(origin), kind), dict.fromkeys(NAMES, 0))[standing.get(face, "open")] += 1
    return [Tally(iteration, kind, Verdicts(**mine)) for (iteration, kind), mine in sorted(counts.items())]
