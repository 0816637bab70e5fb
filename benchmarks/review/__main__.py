"""Write ``docs/reports/REVIEW.md``: ``python -m benchmarks.review``; half an hour on two cores."""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.common import DOCS, Skipped, machine
from benchmarks.review import measure
from benchmarks.review.page import STORED, review_page
from lidloop.files import write_atomic


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.review", description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCS, help="where to write; default: docs")
    parser.add_argument("--work", type=Path, help="folder to keep the photographs' models in, to start again")
    parser.add_argument("--only", choices=("drawn", "real"), help="measure only this part")
    parser.add_argument("--no-training", action="store_true", help="leave out the model of the photographs")
    given = parser.parse_args(arguments)
    file = given.out / STORED
    report = json.loads(file.read_text()) if file.exists() else {}
    report |= {"format": 1, "measured": datetime.now(UTC).date().isoformat(), "machine": machine()}
    if given.only != "real":
        runs = []
        for seed in measure.DRAWN_SEEDS:
            print(f"drawn faces, seed {seed}")
            runs.append(measure.drawn(seed=seed, progress=print))
        report["drawn"] = {"runs": runs}
    if given.only != "drawn":
        with tempfile.TemporaryDirectory(prefix="lidloop-bench-") as temporary:
            try:
                report["real"] = measure.real(
                    given.work or Path(temporary), training=not given.no_training, progress=print
                )
            except Skipped as reason:
                print(f"real faces: skipped, {reason}")
    write_atomic(file, json.dumps(report, indent=1) + "\n")
    print(review_page(given.out))


if __name__ == "__main__":
    main()
