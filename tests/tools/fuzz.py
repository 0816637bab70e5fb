"""All Hypothesis properties with fresh seeds, again and again until a number of minutes is over.

``python tests/tools/fuzz.py --minutes 20 [pytest arguments]`` ends with status 1 at the first failure.
Hypothesis prints the failing example and a decorator that repeats it, and tries it first in the next run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import Final

SCALE: Final = 5
PYTEST: Final = ("-m", "pytest", "-m", "hypothesis", "--hypothesis-profile=fuzz", "-p", "no:cacheprovider")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="begin no new pass after this time")
    parser.add_argument("--scale", type=int, default=SCALE, help="factor on the number of examples")
    options, arguments = parser.parse_known_args()
    end = time.monotonic() + 60 * options.minutes
    environment = os.environ | {"LIDLOOP_FUZZ_SCALE": str(options.scale)}
    passes = 0
    while not passes or time.monotonic() < end:
        code = subprocess.run([sys.executable, *PYTEST, *arguments], env=environment, check=False).returncode
        if code:
            return code
        passes += 1
    print(f"{passes} passes over the properties found no failure")
    return 0


if __name__ == "__main__":
    sys.exit(main())
