"""Effect of decisions on a label version, worked out before anything is written. Pure functions.

=========== =============================== ================================================================
verdict     on a label                      on a dropped face, or none
=========== =============================== ================================================================
confirmed   becomes human, its bytes kept   becomes human, with the points of its prediction
corrected   is replaced; the old line is    becomes human, with the points given
            kept in the table of decisions
declined    leaves the labels; the place is the place is not grown again
            not grown again
added       –                               becomes human
unsure      kept in the table, no effect    the same
=========== =============================== ================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from lidloop.autolabel.candidates import finish_points
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.formats import yolo
from lidloop.data.picture_index import ImageRecord
from lidloop.data.tables import BOX
from lidloop.errors import DatasetError, printable
from lidloop.labels import HUMAN, Floats, box_iou, box_of
from lidloop.review import checks
from lidloop.review.decisions import Decision, DecisionFile, digest_of, person
from lidloop.review.faces import SAME_FACE, Faces, face_id
from lidloop.review.opinions import Opinion, Outcome, settle
from lidloop.review.state import Line, format_line, make_ledger, read_state


@dataclass(frozen=True)
class Report:
    """Result of an import.

    Attributes:
        counts: number of decisions by verdict, of those applied.
        outcomes: number of decisions by outcome.
        already: decisions that an earlier import had brought; they were left out.
        disputes: ids of the faces on which people disagree.
    """

    counts: dict[str, int]
    outcomes: dict[str, int]
    already: int
    disputes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, ready for JSON."""
        return {
            "applied": self.counts, "outcomes": self.outcomes, "already": self.already,
            "disputes": list(self.disputes),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Plan:
    """The next version, ready to be written.

    Attributes:
        changed: label lines of the pictures with an effect.
        ledger: complete ledger.
        rows: decisions for the table.
        report: for people.
    """

    changed: dict[str, list[bytes]]
    ledger: pa.Table
    rows: list[dict[str, Any]]
    report: Report


@dataclass
class _Case:
    """A face with all opinions on it.

    ``line`` is the label as it is now, None for a face without one; ``original`` the label line that the
    first person saw; ``box`` the place that was reviewed; ``points`` those of a dropped face's prediction;
    ``origin`` the iteration that found the face, as the first person saw it.
    """

    face: str
    record: ImageRecord
    line: Line | None
    box: Floats
    points: Floats | None
    origin: int = HUMAN
    confidence: float = 1.0
    original: bytes = b""
    opinions: list[Opinion] = field(default_factory=list)
    decisions: list[tuple[Decision, DecisionFile] | None] = field(default_factory=list)


def make_plan(
    dataset: Dataset,
    labels: LabelVersion,
    faces: Faces,
    earlier: Sequence[Mapping[str, Any]],
    files: Mapping[str, DecisionFile],
) -> Plan:
    """Work out the next version.

    Args:
        dataset: the pictures.
        labels: the newest version.
        faces: its faces, the dropped ones with points where these are known.
        earlier: decisions that the version carries (``lidloop.data.reviews.read_reviews``).
        files: files of decisions by their name for messages.

    Raises:
        DatasetError: for any decision that cannot be taken over; names all such, and nothing is taken over.
    """
    problems: dict[str, list[str]] = {
        name: list(checks.check_file(f, dataset, labels.version)) for name, f in files.items()
    }
    _refuse(problems)
    state = read_state(dataset, labels)
    book = _Book(dataset, faces, state, earlier)
    known = {str(row["decision"]) for row in earlier}
    already = 0
    for name, file, decision in _in_order_of_time(files):
        digest = digest_of(decision, file.session)
        if digest in known:
            already += 1
            continue
        known.add(digest)
        found = list(checks.check_points(decision, dataset.by_id[decision.image]))
        problems[name] += found or book.add(decision, file, name)
    _refuse(problems)
    rows, gone = _apply(book, state)
    _check_neighbours(book, state, problems)
    _refuse(problems)
    counts = Counter(row["verdict"] for row in rows if row["outcome"] == "applied")
    outcomes = Counter(row["outcome"] for row in rows)
    disputes = tuple(sorted({row["face"] for row in rows if row["outcome"] == "disputed"}))
    changed = {
        image: [line.text for line in lines] for image, lines in state.items() if image in book.touched
    }
    report = Report(dict(counts), dict(outcomes), already, disputes)
    return Plan(changed, make_ledger(dataset, state, gone), rows, report)


def _in_order_of_time(files: Mapping[str, DecisionFile]) -> list[tuple[str, DecisionFile, Decision]]:
    """All decisions by time; the tie-break makes the result independent of the order of files."""
    found = [(name, file, decision) for name, file in files.items() for decision in file.decisions]
    return sorted(found, key=lambda entry: (entry[2].at, digest_of(entry[2], entry[1].session)))


def _refuse(problems: Mapping[str, Sequence[str]]) -> None:
    if any(problems.values()):
        count = sum(map(len, problems.values()))
        raise DatasetError(
            f"nothing was imported, as {count} decision{'s' if count > 1 else ''} cannot be taken over: "
            f"{checks.summary(problems)}"
        )


class _Book:
    """Cases by face, filled decision by decision."""

    def __init__(
        self,
        dataset: Dataset,
        faces: Faces,
        state: Mapping[str, list[Line]],
        earlier: Sequence[Mapping[str, Any]],
    ) -> None:
        self.dataset, self.state = dataset, state
        self.cases: dict[str, _Case] = {}
        self.file_of: dict[str, str] = {}
        self.touched: set[str] = set()
        self._labels = {line.face: line for lines in state.values() for line in lines}
        self._dropped = {faces.ids[k]: k for k in np.flatnonzero(~faces.is_label).tolist()}
        self._faces = faces
        self._earlier: dict[str, list[Mapping[str, Any]]] = {}
        for row in earlier:
            self._earlier.setdefault(str(row["face"]), []).append(row)

    def add(self, decision: Decision, file: DecisionFile, name: str) -> list[str]:
        """Put a decision into its case; returns problems."""
        record = self.dataset.by_id[decision.image]
        proposed = b""
        if decision.points is not None:
            proposed = format_line(checks.inside(decision.array(), record), record)
        face = decision.face or self._added(record, proposed)
        case = self.cases.get(face) or self._open(face, record, added=not decision.face)
        if case is None:
            return [f"{checks.name_of(decision)}: neither this version nor an earlier one has such a face"]
        if case.record.id != decision.image:
            return [f"{checks.name_of(decision)} is not in picture {printable(decision.image)}"]
        self.cases[face] = case
        self.file_of[face] = name
        if decision.verdict == "confirmed":
            if case.original:
                proposed = case.original
            elif case.line is not None:
                proposed = case.line.text
            elif case.points is not None:
                proposed = format_line(case.points, record)
            else:
                return [
                    f"{checks.name_of(decision)}: the points of this dropped face are not known (its "
                    "predictions are gone), so it cannot be confirmed; correct it instead"
                ]
        case.opinions.append(
            Opinion(person(decision.reviewer, file.session), decision.at, decision.verdict, proposed)
        )
        case.decisions.append((decision, file))
        return []

    def _open(self, face: str, record: ImageRecord, *, added: bool) -> _Case | None:
        past = self._earlier.get(face, [])
        line = self._labels.get(face) or self._followed(face)
        row = self._dropped.get(face)
        if line is not None:
            name = str(line.row["image"])
            case = _Case(face, self.dataset.by_id[name], line, line.box, None, int(line.row["origin"]))
        elif row is not None:
            name = self._faces.all.images[self._faces.all.image[row]]
            record = self.dataset.by_id[name]
            points = self._faces.all.points[row]
            size = np.array([[record.width, record.height]], dtype=np.float64)
            known = finish_points(points[None], size)[0] if points[:, 2].any() else None
            case = _Case(face, record, None, self._faces.all.boxes[row], known)
            case.origin = int(self._faces.all.origin[row])
            case.confidence = float(self._faces.all.score[row])
        elif past:
            record = self.dataset.by_id[str(past[0]["image"])]
            case = _Case(face, record, None, np.array([past[0][c] for c in BOX]), None)
        elif added:
            case = _Case(face, record, None, np.zeros(4), None)
        else:
            return None
        if past and past[0].get("origin") is not None:
            case.origin = int(past[0]["origin"])
        case.original = str(past[0]["before"]).encode() if past else b"" if line is None else line.text
        for entry in past:
            case.opinions.append(
                Opinion(
                    person(entry["reviewer"], entry["session"]),
                    datetime.fromisoformat(str(entry["at"])),
                    str(entry["verdict"]),
                    str(entry["proposed"]).encode(),
                    is_new=False,
                    was_applied=entry["outcome"] == "applied",
                )
            )
            case.decisions.append(None)
        return case

    def _followed(self, face: str) -> Line | None:
        """The label that earlier decisions made of a face; None where there is none now."""
        seen: set[str] = set()
        while face not in seen:
            seen.add(face)
            applied = [row for row in self._earlier.get(face, []) if row["outcome"] == "applied"]
            if not applied or applied[-1]["verdict"] == "declined":
                return None
            face = face_id(str(applied[-1]["image"]), str(applied[-1]["proposed"]).encode())
            if face in self._labels:
                return self._labels[face]
        return None

    def _added(self, record: ImageRecord, proposed: bytes) -> str:
        """Id of an added face: that of one that somebody added at the same place, or one of its own."""
        box = yolo.parse(proposed.decode(), record.width, record.height, where="added")[0].box
        places = {
            name: opinion.proposed
            for name, case in self.cases.items() if case.record.id == record.id
            for opinion in case.opinions if opinion.verdict == "added"
        }  # fmt: skip
        for name, rows in self._earlier.items():
            for row in rows:
                if row["image"] == record.id and row["verdict"] == "added":
                    places[name] = str(row["proposed"]).encode()
        for name, line in places.items():
            other = yolo.parse(line.decode(), record.width, record.height, where="added")[0].box
            if box_iou(box[None], other[None])[0, 0] >= SAME_FACE:
                return name
        return face_id(record.id, proposed)


def _apply(book: _Book, state: dict[str, list[Line]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Settle every case and change the state; returns the rows of the table and the ledger's dropped rows."""
    rows: list[dict[str, Any]] = []
    gone: list[dict[str, Any]] = []
    for case in sorted(book.cases.values(), key=lambda case: case.face):
        before = b"" if case.line is None else case.line.text
        outcomes = settle(case.opinions)
        for opinion, outcome, origin in zip(case.opinions, outcomes, case.decisions, strict=True):
            if origin is None:
                continue
            if outcome == "applied":
                book.touched.add(case.record.id)
                _change(case, opinion, state[case.record.id], gone)
            rows.append(_row(case, opinion, outcome, before, *origin))
    for image in book.touched:
        state[image].sort(key=_rank)
    return rows, gone


def _rank(line: Line) -> int:
    """Human labels first: those that were there, then new ones; then grown labels. The sort is stable."""
    if line.row["origin"] != HUMAN:
        return 2
    return 1 if line.is_new else 0


def _change(case: _Case, opinion: Opinion, lines: list[Line], gone: list[dict[str, Any]]) -> None:
    """Give one opinion its effect on a picture's labels."""
    verdict = opinion.verdict
    was = None if case.line is None else dict(case.line.row)
    if was is None:
        was = {
            "image": case.record.id,
            "split": case.record.split,
            "origin": case.origin,
            "model": "",
            "confidence": case.confidence,
            "iou": 0.0,
        }
        was |= dict(zip(BOX, map(float, case.box), strict=True))
    if verdict == "declined":
        if case.line is not None:
            lines.remove(case.line)
        gone.append({**was, "line": -1, "decision": "dropped", "reason": "declined"})
        return
    box = yolo.parse(opinion.proposed.decode(), case.record.width, case.record.height, where=case.face)[0].box
    row = {
        **was,
        "origin": HUMAN,
        "model": "",
        "confidence": 1.0,
        "iou": 0.0,
        "decision": "kept",
        "reason": verdict,
    }
    row |= dict(zip(BOX, map(float, box), strict=True))
    human_before = case.line is not None and case.line.row["origin"] == HUMAN
    new = Line(
        opinion.proposed,
        box,
        row,
        case.face,
        is_new=not human_before,
        before=None if case.line is None else case.line.box,
    )
    if case.line is None:
        lines.append(new)
        return
    if opinion.proposed != case.line.text:
        gone.append({**was, "line": -1, "decision": "dropped", "reason": "corrected"})
    lines[lines.index(case.line)] = new


def _row(
    case: _Case, opinion: Opinion, outcome: Outcome, before: bytes, decision: Decision, file: DecisionFile
) -> dict[str, Any]:
    box = case.box
    if decision.verdict == "added":
        box = box_of(decision.array())
    return {
        "decision": digest_of(decision, file.session), "face": case.face, "image": case.record.id,
        "verdict": decision.verdict, "outcome": outcome, "reviewer": decision.reviewer or "",
        "session": file.session, "at": decision.at.isoformat(), "tool": file.tool, "note": decision.note,
        "before": before.decode(), "proposed": opinion.proposed.decode(),
        **dict(zip(BOX, map(float, box), strict=True)), "origin": case.origin,
    }  # fmt: skip


def _check_neighbours(
    book: _Book, state: Mapping[str, list[Line]], problems: Mapping[str, list[str]]
) -> None:
    for image in sorted(book.touched):
        lines = state[image]
        for line in lines:
            if line.is_new or line.before is not None:
                others = [other.box for other in lines if other is not line]
                found = checks.check_neighbours(line.face, line.box, line.before, others)
                problems[book.file_of[line.face]].extend(found)
