"""Weights that a training starts from: a file or a name, or those of the registry's champion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

CHAMPION: Final = "champion"
"""Name of the champion of the registry, as base weights."""


@contextmanager
def first_weights(weights: str, registry: str, *, continues: bool) -> Iterator[tuple[str, str]]:
    """Yield the weights, and their version in the registry; the version is empty if they are not from there.

    Args:
        weights: ``starter``, ``champion``, a path, an address or a published name.
        registry: folder or address of the registry.
        continues: the run goes on from an earlier one; then the champion takes the place of the default.

    Raises:
        RegistryError: where there is no registry or no champion.
        ModelError: for a bundle that is not what was registered, or a damaged starter.
    """
    from lidloop.starter.choose import base_weights
    from lidloop.training.fine_tune import DEFAULT_WEIGHTS

    if weights == CHAMPION or (continues and weights == DEFAULT_WEIGHTS):
        from lidloop.registry.steps import champion_weights  # needs MLflow, which other starts do not

        with champion_weights(registry) as (file, version):
            yield str(file), version
    else:
        yield base_weights(weights), ""
