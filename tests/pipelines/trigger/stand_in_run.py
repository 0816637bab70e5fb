"""A stand-in for ``lidloop run``: takes its options, trains nothing, leaves what a run leaves.

It lasts ``--epochs`` tenths of a second and fails with ``--seed=1``. Every start appends a line to ``STARTS``
beside the run's folder.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> int:
    options = dict(argument[2:].partition("=")[::2] for argument in sys.argv[1:])
    out = Path(options["out"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    out.mkdir(parents=True, exist_ok=True)
    with (out.parent / "STARTS").open("a") as starts:
        starts.write(f"{out.name} {os.getpid()}\n")
    (out / "run.json").write_text(json.dumps({"run": f"{out.name}-registered", "argv": sys.argv[1:]}))
    time.sleep(int(options.get("epochs", 1)) / 10)
    if options.get("seed") == "1":
        print("error: as it was asked to", file=sys.stderr)
        return 1
    (out / "report.html").write_text("<p>report</p>")
    (out / "summary.json").write_text("{}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
