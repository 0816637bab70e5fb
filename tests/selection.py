"""Markers of tests by what they use, and the summary of skipped tests at the end of a run."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

BY_FIXTURE: Final = {
    "s3": {"rgw", "s3_server", "bucket", "object_store"},
    "browser": {"browser"},
    "cluster": {"live_server", "kubeconfig"},
    "slow": {"rgw", "object_store", "browser", "model_folder", "start_server", "server", "prometheus_server"},
}
"""Fixtures that need a program or are slow, by the marker that a test gets for using one of them."""

BY_REASON: Final = (
    ("apt-get install, as root (Debian, Ubuntu)",
     r"apt-get install|Debian|ceph|promtool|amtool|prometheus|postgres|Chromium|openssl"),
    ("make image-test, as root with podman", r"image-test|podman|GPU image"),
    ("LIDLOOP_TEST_KUBECONFIG=FILE make cluster-test", r"LIDLOOP_TEST_KUBECONFIG|the cluster has no"),
    ("make review-tools", r"make review-tools"),
    ("make cluster-tools", r"helm|kubectl|Grafana"),
    ("LIDLOOP_300W, LIDLOOP_BASE_WEIGHTS or LIDLOOP_CRDS, set to your copy of that data",
     r"LIDLOOP_300W|LIDLOOP_BASE_WEIGHTS|CRDS"),
    ("make .venv/ready (all extras and the dev group)", r"could not import|not installed|uv sync"),
)  # fmt: skip
"""Command that makes skipped tests run, by a pattern of the reason for which they were skipped."""

PACKAGES: Final = {
    "amtool": "prometheus-alertmanager",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "promtool": "prometheus",
}
"""Debian's package of a program that the marker ``prometheus`` names."""

SLOW: Final = Path(__file__).with_name("slow.txt")
"""Tests to mark ``slow``, as ``path::function`` on a line each; ``tests/tools/slow.py`` writes it."""

LINES: Final = 3
OTHER: Final = "reasons of their own: pytest -rs shows them"


def add_markers(items: Iterable[pytest.Item]) -> None:
    """Mark tests by the fixtures that they use; skip those marked with a program that is not installed."""
    slow = set(SLOW.read_text().splitlines())
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        names = [name for name, fixtures in BY_FIXTURE.items() if used & fixtures]
        if "bucket" in used or item.nodeid.partition("[")[0] in slow:
            names.append("slow")
        for name in names:
            item.add_marker(name)
        for marker in list(item.iter_markers("prometheus")):
            for program in marker.args:
                if shutil.which(program) is None:
                    item.add_marker(pytest.mark.skip(f"no {program}: apt-get install {PACKAGES[program]}"))


def slow_files_first(items: list[pytest.Item]) -> None:
    """Sort tests so that processes of pytest-xdist finish together: files with slow tests come first.

    The order within a file and among files of a kind is kept.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def remedy(reason: str) -> str:
    """Command that makes a test run which was skipped for this reason."""
    return next((command for command, pattern in BY_REASON if re.search(pattern, reason)), OTHER)


def summary(reasons: Iterable[str]) -> list[str]:
    """Lines on skipped tests, at most three: how many, and the commands that make most of them run."""
    counts = Counter(map(remedy, reasons))
    if not counts:
        return []
    ranked = counts.most_common()
    if len(ranked) > LINES:
        rest = ranked[LINES - 1 :]
        commands = "; ".join(command for command, _ in rest)
        ranked = [*ranked[: LINES - 1], (commands, sum(count for _, count in rest))]
    return [f"{count} skipped; to run them: {command}" for command, count in ranked]
