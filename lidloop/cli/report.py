"""``lidloop report``: the report of a finished run, written again, with or without the review mode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lidloop.cli.console import say
from lidloop.cli.paths import path
from lidloop.cli.review import open_run, order_faces
from lidloop.errors import LidloopError, doing
from lidloop.review.page_limits import FACE_BYTES, MAX_FACES, PAGE_BYTES

if TYPE_CHECKING:
    from lidloop.report.review_mode import Review


def report(
    run: Annotated[Path, typer.Argument(parser=path, help="Folder of a finished run: its --out.")],
    review: Annotated[
        int,
        typer.Option(
            min=0,
            max=MAX_FACES,
            metavar="FACES",
            help="Add the review mode with so many faces from the front of the review queue; 0 leaves it "
            f"out. Their pictures are put into the page: at most {FACE_BYTES // 1000} kB each, and "
            f"{PAGE_BYTES // 10**6} MB together.",
        ),
    ] = 0,
    human: Annotated[bool, typer.Option("--human", help="With --review: the human labels, too.")] = False,
) -> None:
    """Write report.html and summary.json of a run again, from its label versions and evaluations.

    With --review the page shows one face after the other; a person decides by key, and saves decisions.json
    for `lidloop review import`. The page works offline and sends nothing.

    Example: lidloop report runs/mine --review 1000
    """
    from lidloop.report.write import regenerate

    if human and not review:
        raise LidloopError("--human needs --review FACES: without it the report has no review mode")
    with doing(f"write the report of {run}"):
        shown = _review(run, review, human=human) if review else None
        say(regenerate(run, review=shown))
    if shown is not None:
        say(f"{len(shown.faces)} of the {shown.queue} faces of the review queue can be reviewed in it")
        if shown.left_out:
            say(
                f"{shown.left_out} faces are left out: their picture cannot be read, or their predictions "
                "are gone"
            )


def _review(run: Path, limit: int, *, human: bool) -> Review:
    from lidloop.report.pictures import loader
    from lidloop.report.review_mode import make_review

    dataset, labels, predictions = open_run(run)
    faces, entries = order_faces(dataset, labels, predictions, human=human)
    return make_review(dataset, labels.version, faces, entries, loader(dataset), limit=limit)
