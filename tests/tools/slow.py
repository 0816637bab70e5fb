"""Write the list of slow tests from the times of a run.

    pytest --junitxml FILE
    python tests/tools/slow.py FILE

A test function is slow if one of its cases took at least ``SECONDS``, set-up included.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

SECONDS: Final = 0.6
LIST: Final = Path(__file__).parents[1] / "slow.txt"


def slow_tests(cases: Iterable[tuple[str, str, float]]) -> list[str]:
    """Names ``path::function`` of slow tests, sorted.

    Args:
        cases: module with dots, name with its parameters, and seconds of each test.
    """
    return sorted(
        {
            f"{module.replace('.', '/')}.py::{name.partition('[')[0]}"
            for module, name, seconds in cases
            if seconds >= SECONDS
        }
    )


def main() -> None:
    cases = ElementTree.parse(sys.argv[1]).iter("testcase")
    names = slow_tests(
        (case.attrib["classname"], case.attrib["name"], float(case.attrib["time"])) for case in cases
    )
    LIST.write_text("".join(f"{name}\n" for name in names))


if __name__ == "__main__":
    main()
