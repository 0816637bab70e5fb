"""Run the closed loop and write its page: ``make closed-loop``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.closed_loop.page import STORED, closed_loop_page
from benchmarks.closed_loop.run import run
from benchmarks.closed_loop.timeline import TimedOut
from benchmarks.common import DATA, Skipped, machine
from lidloop.files import write_atomic


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.closed_loop", description=__doc__)
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of the page and its figures")
    parser.add_argument("--work", type=Path, help="an empty folder for all files; by default a temporary one")
    given = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="lidloop-closed-loop-") as temporary:
            report = run(given.work or Path(temporary), progress=lambda text: print(text, flush=True))
    except (TimedOut, Skipped) as error:
        sys.exit(f"closed-loop: {error}")
    entry = {"measured": datetime.now(UTC).date().isoformat(), "machine": machine(), "report": report}
    write_atomic(given.docs / DATA / STORED, json.dumps(entry, indent=1))
    print(f"closed-loop: closed; {closed_loop_page(given.docs)}")


if __name__ == "__main__":
    main()
