"""Settings of Hypothesis: the same examples in every default run, new and more ones in ``make test-fuzz``."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

SCALE: Final = int(os.environ.get("LIDLOOP_FUZZ_SCALE", "1"))
"""Factor on the number of examples of every property; ``tests/tools/fuzz.py`` sets it."""


def examples(number: int) -> settings:
    """Decorator of a property whose examples are too slow, or too cheap, for Hypothesis' default of 100."""
    return settings(max_examples=number * SCALE)


def register_profiles() -> None:
    """Register and load ``default``; ``--hypothesis-profile=fuzz`` chooses the other one."""
    common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("default", derandomize=True, **common)
    settings.register_profile("fuzz", max_examples=100 * SCALE, print_blob=True, **common)
    settings.load_profile("default")
