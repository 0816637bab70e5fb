"""Fixtures of the chart's tests."""

from __future__ import annotations

import os

import pytest

from tests.manifests.schemas import CRDS


@pytest.fixture
def crds() -> str:
    """Folder of CustomResourceDefinitions; without one the test is skipped."""
    folder = os.environ.get(CRDS)
    if not folder:
        pytest.skip(f"{CRDS} names no folder of CustomResourceDefinitions")
    return folder
