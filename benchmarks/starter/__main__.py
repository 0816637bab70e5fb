"""Measure the starter weights: ``python -m benchmarks.starter --sheet FOLDER``.

Needs ``LIDLOOP_300W``. Writes ``reports/data/starter.json`` and ``STARTER.md`` below ``--docs``, and sheets
of 100 photographs with all finds to ``--sheet``. Finds that are no face have to be counted by a person: look
at the red frames and run again with ``--false-finds N``; with other weights or another score, count again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.common import DATA, DOCS, Skipped, machine
from benchmarks.starter.measure import report
from benchmarks.starter.page import STORED, starter_page
from benchmarks.starter.sheet import write_sheets
from lidloop.detection.detector import load_detector
from lidloop.files import write_atomic
from lidloop.screening.screen import CONF
from lidloop.starter import starter_card, starter_model
from lidloop.starter.make import TEST_SEED, TEST_SIZE
from lidloop.synthetic import write_faces_folder
from lidloop.synthetic.photo import photo_options


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starter", description=__doc__)
    parser.add_argument("--docs", type=Path, default=DOCS)
    parser.add_argument("--score", type=float, default=CONF, help=f"smallest score; {CONF:g}, as served")
    parser.add_argument("--limit", type=int, default=0, help="pictures by source; 0 takes all")
    parser.add_argument(
        "--sheet", type=Path, required=True, help="folder for the sheets, outside the repository"
    )
    parser.add_argument("--false-finds", type=int, help="finds on the sheets that are no face, as counted")
    given = parser.parse_args(arguments)
    if given.sheet.resolve().is_relative_to(DOCS.parent):
        parser.error("--sheet must lie outside the repository: the sheets show people")
    card = starter_card()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        drawn = write_faces_folder(
            work / "faces", images=200, seed=TEST_SEED, size=TEST_SIZE, options=photo_options()
        )
        try:
            detector = load_detector(starter_model())
            result, real = report(detector, drawn, work, score=given.score, limit=given.limit, progress=print)
        except Skipped as reason:
            parser.error(str(reason))
        print("sheets:", *write_sheets(real, given.sheet, score=given.score))
    entry = {
        "measured": datetime.now(UTC).date().isoformat(), "machine": machine(), "limit": given.limit,
        "report": result, "false_finds": given.false_finds, "card": card,
    }  # fmt: skip
    write_atomic(given.docs / DATA / STORED, json.dumps(entry, indent=1) + "\n")
    print(starter_page(given.docs))


if __name__ == "__main__":
    main()
