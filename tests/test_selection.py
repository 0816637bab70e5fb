from __future__ import annotations

import pytest

from tests import selection
from tests.selection import LINES, OTHER, remedy, summary
from tests.tools.slow import slow_tests


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("no complete S3 server: no ceph-mon: apt-get install ceph-mon", "apt-get"),
        ("promtool is not installed", "apt-get"),
        ("LIDLOOP_300W is not set", "LIDLOOP_300W"),
        ("LIDLOOP_CRDS names no folder of CustomResourceDefinitions", "LIDLOOP_CRDS"),
        ("LIDLOOP_TEST_KUBECONFIG names no kubeconfig of a cluster to test on", "make cluster-test"),
        ("takes minutes and needs root and podman: make image-test", "make image-test"),
        ("could not import 'torch': No module named 'torch'", "make .venv/ready"),
        ("a small tmpfs cannot be mounted here", OTHER),
    ],
)
def test_each_reason_has_its_command(reason: str, word: str) -> None:
    assert word in remedy(reason)


def test_summary_counts_every_skipped_test_in_three_lines() -> None:
    reasons = ["promtool"] * 4 + ["image-test"] * 9 + ["LIDLOOP_300W"] * 2 + ["helm"] + ["else"]
    lines = summary(reasons)
    assert len(lines) == LINES
    assert [int(line.split()[0]) for line in lines] == [9, 4, 4]
    assert "make cluster-tools" in lines[-1]


def test_no_summary_without_skipped_tests() -> None:
    assert summary([]) == []


def test_tests_in_the_list_of_slow_ones_exist() -> None:
    root = selection.SLOW.parents[1]
    for name in selection.SLOW.read_text().splitlines():
        path, _, function = name.partition("::")
        assert f"def {function}(" in (root / path).read_text(), (
            f"{name} is gone: remove it from {selection.SLOW.name}"
        )


def test_a_test_is_slow_by_its_slowest_case() -> None:
    cases = [
        ("tests.a.test_b", "test_c[1]", 0.1),
        ("tests.a.test_b", "test_c[2]", 2.0),
        ("tests.test_d", "test_e", 0.5),
    ]
    assert slow_tests(cases) == ["tests/a/test_b.py::test_c"]
