"""Selection of the starter weights: by the name ``starter``, or where no model and no registry are named."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lidloop import __version__
from lidloop.errors import ModelError, doing
from lidloop.files import sha256
from lidloop.starter import starter_card, starter_model, starter_weights

STARTER: Final = "starter"
"""Name of the starter weights wherever a model or base weights are named; a folder of this name is
``./starter``."""
DEFAULT_REGISTRY: Final = "runs/registry"
NOTICE: Final = (
    f"no model and no registry is named: using the starter weights of lidloop {__version__}, trained on "
    "drawn faces only; --registry or --model names another model"
)


def is_default(model: str, registry: str) -> bool:
    """True if the starter is used: neither is named, and there is no registry at its default place.

    Args:
        model: a path, ``champion`` or a version; empty if none is named.
        registry: its place; empty if none is named.
    """
    return not model and not registry and not Path(DEFAULT_REGISTRY).exists()


def verified_model() -> Path:
    """Return the path of the starter's ONNX model after a check of its size and SHA-256.

    Raises:
        ModelError: if a file of the starter is missing, unreadable, or not the one that its card describes.
    """
    return _verified(starter_model())


def base_weights(name: str) -> str:
    """Return the path of the starter's weights, a verified pickle, for ``starter``; other names unchanged.

    Raises:
        ModelError: as ``verified_model``.
    """
    return str(_verified(starter_weights())) if name == STARTER else name


def model_digest() -> str:
    """SHA-256 of the starter's ONNX model as its card states it."""
    with doing("read the starter weights", ModelError):
        return str(starter_card()["files"][starter_model().name]["sha256"])


def _verified(path: Path) -> Path:
    with doing(f"read the starter weights {path.name}", ModelError):
        entry = starter_card()["files"][path.name]
        if path.stat().st_size != entry["bytes"] or sha256(path) != entry["sha256"]:
            raise ModelError(f"{path} does not match the digest in weights.json: install lidloop again")
    return path
