"""The measurements of the service run at small sizes, and their rows compare with the targets."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import service, soak
from benchmarks.mutations import mutations
from benchmarks.pages.benchmarks import notes
from benchmarks.servers import drawn_photo
from lidloop.images import decode_rgb

SOAK = {
    "imgsz": 640, "minutes": 10.0, "calm_ms": 50.0, "capacity": 20.0, "rate": 40.0, "sent": 24_000,
    "statuses": {"200": 12_000, "503": 12_000}, "accepted_p50_ms": 90.0, "accepted_p99_ms": 140.0,
    "p99_ratio": 2.8, "refused_p99_ms": 5.0, "memory_mb": 400.0, "memory_growth": 0.01, "mutated": 2000,
    "mutated_statuses": {"200": 500, "422": 1500}, "mutated_faults": [], "alive": True, "traces": 0,
}  # fmt: skip
SERVICE = {
    "imgsz": 640, "bytes": 40_000, "faces": 1, "requests": 60, "clients": 8, "refused": 0.3,
    "ms": {"bare": 110.0, "service": 60.0, "plain": 220.0}, "rss_mb": 400, "plain_rss_mb": 900,
    "p90_ms": {"bare": 120.0, "service": 70.0, "plain": 240.0}, "ratio": {"bare": 0.55, "plain": 0.27},
    "per_second": {"service": 20.0, "plain": 5.0}, "throughput_ratio": 4.0,
    "cold": {"seconds": [2.0, 2.1, 6.0], "plain": 8.0}, "size_mb": 611,
}  # fmt: skip


@pytest.mark.slow
def test_the_service_is_measured_side_by_side() -> None:
    pytest.importorskip("ultralytics")
    report = service.run(imgsz=256, rounds=1, each=1, seconds=0.5, starts=1, size=False)
    assert report["faces"] == 1
    assert set(report["ms"]) == {"bare", "service", "plain"}
    assert min(report["per_second"].values()) > 0
    assert [row.met for row in service.rows(report)].count(None) == 0


@pytest.mark.slow
def test_a_short_soak_finds_no_fault() -> None:
    report = soak.run(imgsz=256, minutes=0.03, mutated=12)
    assert report["statuses"].keys() <= {"200", "503"}
    assert report["statuses"]["200"] > 0
    assert report["mutated_faults"] == []
    assert report["alive"]
    assert report["traces"] == 0


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({}, []),
        ({"statuses": {"200": 1, "500": 1, "503": 1}}, [0]),
        ({"statuses": {"0": 1, "200": 1}}, [0]),
        ({"p99_ratio": 3.01}, [1]),
        ({"memory_growth": 0.051}, [2]),
        ({"mutated_faults": ["7: 500"]}, [3]),
        ({"alive": False}, [3]),
        ({"traces": 1}, [3]),
    ],
)
def test_missed_targets_of_the_soak(change: dict[str, Any], missed: list[int]) -> None:
    rows = soak.rows(SOAK | change)
    assert [k for k, row in enumerate(rows) if not row.met] == missed
    assert notes("soak", SOAK | change)


def test_targets_of_the_service() -> None:
    assert all(row.met for row in service.rows(SERVICE))
    slow = SERVICE | {"ratio": {"bare": 0.86, "plain": 0.41}, "throughput_ratio": 2.2, "size_mb": 700}
    assert [row.met for row in service.rows(slow)] == [False, False, False, True, False]
    late = SERVICE | {"cold": {"seconds": [5.0, 5.1, 5.2], "plain": 8.0}, "size_mb": None}
    assert [row.met for row in service.rows(late)][3:] == [False]
    assert "30 %" in notes("service", SERVICE)


def test_mutations_depend_on_their_seed_only() -> None:
    photo = decode_rgb(drawn_photo(256), where="x")
    one, again, other = (list(mutations(photo, number=40, seed=seed)) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert len({m.name.split(", ")[-1] for m in one}) > 8
