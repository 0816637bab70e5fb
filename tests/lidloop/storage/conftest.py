"""Tests of the object stores run without the S3 keys of the environment."""

from __future__ import annotations

import pytest

pytest.importorskip("minio")


@pytest.fixture(autouse=True)
def clean(without_s3_keys: None) -> None:
    """Apply ``without_s3_keys`` to every test of this folder."""
