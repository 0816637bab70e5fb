"""The settings of a run: checked before anything starts, and turned into the pipeline's parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from lidloop import __version__
from lidloop.autolabel.predict import TRAIN_FLOOR
from lidloop.autolabel.stopping import DEFAULT_MAX_LOSS, DEFAULT_MIN_GROWTH
from lidloop.data.sources import check_source, fingerprint, parse_source
from lidloop.errors import LidloopError, SourceError
from lidloop.storage.files import is_stored
from lidloop.training.fine_tune import DEFAULT_WEIGHTS

RETENTIONS: Final = ("accumulate", "relabel")


class SettingsError(LidloopError):
    """Settings of a run that cannot be. ``problems`` has them by name, as (setting, what is wrong)."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(text for _, text in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What a run does. The command line's options of the same names explain them.

    Raises:
        SettingsError: for a source or weights that are not there, or a number out of its range; all of them
            are named at once.
    """

    sources: tuple[str, ...]
    iterations: int = 4
    epochs: int = 10
    imgsz: int = 640
    base_weights: str = DEFAULT_WEIGHTS
    conf: float = 0.7
    iou: float = 0.3
    seed: int = 0
    batch: int = 16
    device: str = ""
    gpus: int = 0
    workers: int = 4
    patience: int = 0
    ignore_unlabelled: bool = True
    shards: int = 1
    retention: str = "accumulate"
    paper_exact: bool = False
    split: float = 0.8
    keep_splits: bool = False
    min_growth: float = DEFAULT_MIN_GROWTH
    max_loss: float = DEFAULT_MAX_LOSS
    registry: str = ""
    truth: str = ""

    def __post_init__(self) -> None:
        problems = [*self._sources(), *self._weights(), *self._numbers()]
        if problems:
            raise SettingsError(problems)

    def _sources(self) -> Iterator[tuple[str, str]]:
        if not self.sources:
            yield "sources", "no source is given; say --source ibug:DIR"
        for source in self.sources:
            try:
                self._check(source)
            except SourceError as error:
                yield "sources", str(error)
        repeated = {s for s in self.sources if self.sources.count(s) > 1}
        if repeated:
            yield "sources", f"source {sorted(repeated)[0]} is given twice"

    def _check(self, source: str) -> None:
        check_source(source)

    def _weights(self) -> Iterator[tuple[str, str]]:
        path = Path(self.base_weights)
        is_name = len(path.parts) == 1 and path.suffix in (".pt", ".yaml")
        if not is_name and not is_stored(self.base_weights) and not path.exists():
            yield (
                "base_weights",
                f"there are no base weights at {path}; give the path of a YOLOv8 pose .pt file",
            )
        if self.truth and not Path(self.truth).is_file():
            yield "truth", f"there is no file of hidden labels at {self.truth}"

    def _numbers(self) -> Iterator[tuple[str, str]]:
        at_least = {
            "iterations": 1,
            "epochs": 1,
            "batch": 1,
            "shards": 1,
            "gpus": 0,
            "workers": 0,
            "patience": 0,
        }
        for name, least in at_least.items():
            if getattr(self, name) < least:
                yield name, f"--{name} must be {least} or more, not {getattr(self, name)}"
        if self.imgsz < 64 or self.imgsz % 32:
            yield "imgsz", f"--imgsz must be a multiple of 32, at least 64, not {self.imgsz}"
        for name, low_in, low, high, high_in in (
            ("conf", True, TRAIN_FLOOR, 1.0, False),
            ("iou", True, 0.0, 1.0, False),
            ("split", False, 0.0, 1.0, False),
            ("min_growth", True, 0.0, math.inf, False),
            ("max_loss", True, 0.0, math.inf, False),
        ):
            value = getattr(self, name)
            above = low < value or (low_in and value == low)
            below = value < high or (high_in and value == high)
            if not (above and below):
                ends = f"between {low:g} and {high:g}" if high < math.inf else f"{low:g} or more"
                yield name, f"--{name.replace('_', '-')} must be {ends}, not {value}"
        if self.retention not in RETENTIONS:
            yield "retention", f"--retention must be {' or '.join(RETENTIONS)}, not {self.retention!r}"
        if self.gpus and self.device:
            yield "gpus", "give --gpus or --device, not both"

    @property
    def training_device(self) -> str:
        """The device as Ultralytics is told it."""
        return ",".join(map(str, range(self.gpus))) if self.gpus else self.device

    def parameters(self, *, out: Path, run: str) -> dict[str, Any]:
        """The pipeline's parameters for a run in the folder ``out``. Paths become absolute."""
        same = asdict(self)
        for name in ("iterations", "gpus", "shards", "sources", "registry", "device"):
            del same[name]
        weights = Path(self.base_weights)
        return {
            **same,
            "sources": [absolute_source(s) for s in self.sources],
            "sources_fingerprint": fingerprint(self.sources),
            "base_weights": str(weights.resolve()) if weights.exists() else self.base_weights,
            "device": self.training_device,
            "shards": list(shard_names(self.shards)),
            "truth": str(Path(self.truth).resolve()) if self.truth else "",
            "registry": _absolute(self.registry) if self.registry else str(out / "registry"),
            "run": run,
            "checkpoints": str(out / "checkpoints"),
            "pictures": "",
        }

    def identity(self, out: Path) -> dict[str, Any]:
        """All that must be the same for a run to go on where it was."""
        weights = Path(self.base_weights)
        return {
            **asdict(self),
            "registry": _absolute(self.registry) if self.registry else "",
            "sources": [absolute_source(s) for s in self.sources],
            "files under the sources": fingerprint(self.sources),
            "base weights' file": _stat(weights) if weights.is_file() else "",
            "folder": str(out),
            "lidloop": __version__,
        }


@dataclass(frozen=True, kw_only=True)
class RemoteSettings(RunSettings):
    """The settings of a run elsewhere: its sources and weights need not be there on this machine."""

    def _check(self, source: str) -> None:
        parse_source(source)

    def _weights(self) -> Iterator[tuple[str, str]]:
        return iter(())


def _absolute(registry: str) -> str:
    return registry if "://" in registry else str(Path(registry).resolve())


def shard_names(count: int) -> tuple[str, ...]:
    """The shards of the pictures as the pipeline takes them: ``0/2``, ``1/2``."""
    return tuple(f"{k}/{count}" for k in range(count))


def absolute_source(source: str) -> str:
    """The same source with an absolute path; one in a store stays as it is.

    Raises:
        SourceError: for another form of source.
    """
    kind, place = parse_source(source)
    return source if is_stored(place) else f"{kind}:{Path(place).expanduser().resolve()}"


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two identities, in words."""
    return [
        f"{key} was {_shown(before.get(key))} and is {_shown(now.get(key))}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]


def _stat(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} bytes of {stat.st_mtime_ns}"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else repr(value)
