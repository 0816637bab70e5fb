"""The file of decisions, ``decisions.json``: its schema, reading and writing.

One file holds the decisions of one sitting of one person, on the faces of one label version. Other tools'
exports become such a file first, so that all decisions pass the same checks (``lidloop.review.checks``).
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from lidloop.errors import DatasetError, doing, one_line
from lidloop.files import write_atomic
from lidloop.labels import Floats
from lidloop.landmarks import N_POINTS

FORMAT: Final = 1
KIND: Final = "lidloop-decisions"
MAX_BYTES: Final = 1 << 27
"""Largest file that is read as a whole: 128 MB, about 50,000 corrected faces."""
LARGEST: Final = 1e6
"""Largest coordinate, in pixels."""

Verdict = Literal["confirmed", "corrected", "declined", "added", "unsure"]
Text = Annotated[str, Field(max_length=300)]
Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
Point = tuple[Coordinate, Coordinate, Literal[0, 1, 2]]

_STRICT: Final = ConfigDict(extra="forbid", frozen=True, strict=True)


class Decision(BaseModel):
    """Decision of a person on one face.

    Attributes:
        face: id of the face; empty for one that the person added.
        image: id of its picture.
        verdict: ``confirmed`` (right as it is), ``corrected`` (to ``points``), ``declined`` (no face),
            ``added`` (a face without a label, at ``points``) or ``unsure`` (kept, without effect).
        points: 51 of x, y in pixels of the upright picture, and visibility 0, 1 or 2.
        reviewer: name, if the person wants it to be kept. It is written to the ledger and nowhere else.
        at: time of the decision, with its zone.
        note: free text.
    """

    model_config = _STRICT

    face: Text = ""
    image: Annotated[str, Field(min_length=1, max_length=300)]
    verdict: Verdict
    points: Annotated[list[Point], Field(min_length=N_POINTS, max_length=N_POINTS)] | None = None
    reviewer: Text | None = None
    at: AwareDatetime
    note: Annotated[str, Field(max_length=2000)] = ""

    @model_validator(mode="after")
    def _complete(self) -> Decision:
        needs = self.verdict in ("corrected", "added")
        if needs != (self.points is not None):
            raise ValueError(f"a decision '{self.verdict}' has {'' if needs else 'no '}points")
        if bool(self.face) == (self.verdict == "added"):
            raise ValueError(f"a decision '{self.verdict}' has {'no' if self.face else 'a'} face id")
        return self

    def array(self) -> Floats:
        """Points as an array (51, 3).

        Raises:
            ValueError: for a decision without points.
        """
        if self.points is None:
            raise ValueError(f"a decision '{self.verdict}' has no points")
        return np.array(self.points, dtype=np.float64)


class DecisionFile(BaseModel):
    """Decisions of one sitting.

    Attributes:
        dataset: digest of the dataset.
        labels: number of the label version that was shown.
        session: random text that tells sittings apart; decisions without a reviewer's name are taken for
            those of one person if they share it.
        tool: name of the program that made the decisions.
        pictures: SHA-256 of every picture that a decision names, by id.
    """

    model_config = _STRICT

    format: Literal[1] = FORMAT
    kind: Literal["lidloop-decisions"] = KIND
    dataset: Text
    labels: Annotated[int, Field(ge=0)]
    session: Annotated[str, Field(min_length=1, max_length=100)]
    tool: Annotated[str, Field(max_length=100)]
    pictures: dict[str, Text]
    decisions: list[Decision]


def read_decisions(path: Path) -> DecisionFile:
    """Read a file of decisions.

    Raises:
        DatasetError: for a file that is missing, too large, no JSON or of another form; names the first place
            that is wrong.
    """
    with doing(f"read the decisions {path}", DatasetError):
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DatasetError(f"{path} has {size:,} bytes; a file of decisions has at most {MAX_BYTES:,}")
        data = path.read_bytes()
    return parse_decisions(data, where=str(path))


def parse_decisions(data: bytes, *, where: str) -> DecisionFile:
    """Read decisions from JSON text.

    Raises:
        DatasetError: for anything else than such a document; names ``where``.
    """
    try:
        return DecisionFile.model_validate_json(data)
    except ValidationError as error:
        raise DatasetError(
            one_line(
                f"{where} is no file of decisions: {first_problem(error)} "
                f"({error.error_count()} in all); nothing was imported"
            )
        ) from None


def first_problem(error: ValidationError) -> str:
    """Place and message of the first thing that is wrong with a document."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the document"
    return f"{place}: {first['msg']}"


def write_decisions(path: Path, decisions: DecisionFile) -> None:
    """Write a file of decisions, atomically."""
    write_atomic(path, decisions.model_dump_json(indent=1) + "\n")


def person(reviewer: str | None, session: str) -> str:
    """Person who decided: the name, or the sitting where none is given."""
    return f"name {reviewer}" if reviewer else f"session {session}"


def digest_of(decision: Decision, session: str) -> str:
    """SHA-256 of a decision and of the person, without the time: equal for the same decision twice."""
    points = (
        None if decision.points is None else [[round(x, 3), round(y, 3), v] for x, y, v in decision.points]
    )
    content = [
        decision.face,
        decision.image,
        decision.verdict,
        points,
        person(decision.reviewer, session),
        decision.note,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def signed(file: DecisionFile, reviewer: str) -> DecisionFile:
    """The file with a reviewer's name on every decision that has none."""
    named = [d if d.reviewer else d.model_copy(update={"reviewer": reviewer}) for d in file.decisions]
    return file.model_copy(update={"decisions": named})


def now() -> datetime:
    """The time, with its zone, to the second."""
    return datetime.now(UTC).replace(microsecond=0)
