"""Settings of a run: the one declaration of its parameters, their checks, and the pipeline's arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from components.first_weights import CHAMPION
from lidloop import __version__
from lidloop.autolabel.predict import TRAIN_FLOOR
from lidloop.autolabel.stopping import DEFAULT_MAX_LOSS, DEFAULT_MIN_GROWTH
from lidloop.data.dataset import Retention
from lidloop.data.sources import KINDS, check_source, fingerprint, parse_source
from lidloop.errors import SYSTEM_ERRORS, LidloopError, RegistryError, SourceError, cause
from lidloop.files import absolute_place
from lidloop.registry.mlflow_backend import locate
from lidloop.starter.choose import STARTER, base_weights
from lidloop.storage.files import is_stored
from lidloop.training.fine_tune import DEFAULT_WEIGHTS, TrainSettings
from pipelines.parameters import choices_of, declared, parameter

DATA: Final = "Data"
LOOP: Final = "The loop"
TRAINING: Final = "Training"
LABELS: Final = "New labels"
MACHINE: Final = "This machine"

_FORMS: Final = [f"{kind}:{place}" for kind, place in KINDS.items()]
_SOURCES_HELP: Final = (
    f"Annotations to start from: {', '.join(_FORMS[:-1])} or {_FORMS[-1]}; DIR and FILE may be "
    "s3://BUCKET/…. Several may be given, of any mix of formats."
)


class SettingsError(LidloopError):
    """Invalid settings of a run. ``problems`` holds them by name, as (setting, what is wrong)."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(text for _, text in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Parameters of a run. ``pipelines.parameters.declared(RunSettings)`` returns their declarations.

    Raises:
        SettingsError: for a source or weights that do not exist, or a value of a wrong type or outside its
            range; all problems are named at once.
    """

    sources: tuple[str, ...] = parameter(
        (),
        help=_SOURCES_HELP,
        flags=("--source", "-s"),
        metavar="KIND:PLACE",
        most_entries=100,
        group=DATA,
    )
    continue_from: str = parameter(
        "",
        help="Go on from an earlier run, instead of sources: its folder, or s3://BUCKET/… of its report. The "
        "run takes its dataset, its reviewed labels and, unless other weights are named, the champion of its "
        "registry.",
        flags=("--continue",),
        is_path=True,
        metavar="RUN",
        group=DATA,
    )
    label_version: str = parameter(
        "",
        help="With --continue: label version that `lidloop review import` wrote, its number, folder or "
        "s3://BUCKET/…; empty takes the newest of a folder.",
        flags=("--labels",),
        is_path=True,
        metavar="VERSION",
        group=DATA,
    )
    extend_gold: bool = parameter(
        False,
        help="With --continue: the human validation labels of that version become gold. Models are then "
        "measured on the gold of before, too.",
        group=DATA,
    )
    split: float = parameter(
        0.8,
        help="Share of the pictures for training, 0 to 1; the others are for validation.",
        exclusive_minimum=0.0,
        exclusive_maximum=1.0,
        group=DATA,
    )
    keep_splits: bool = parameter(False, help="Keep the splits that the sources give.", group=DATA)
    truth: str = parameter(
        "",
        help="File with the hidden labels of generated faces: the report then counts how many were found.",
        is_path=True,
        metavar="FILE",
        group=DATA,
    )

    iterations: int = parameter(4, help="Number of iterations at most.", minimum=1, maximum=100, group=LOOP)
    min_growth: float = parameter(
        DEFAULT_MIN_GROWTH,
        help="Stop when labels grow by less than this fraction; 0 turns this rule off.",
        minimum=0.0,
        group=LOOP,
    )
    max_loss: float = parameter(
        DEFAULT_MAX_LOSS,
        help="Stop when gold recall falls, or gold NME rises, by more than this fraction.",
        minimum=0.0,
        group=LOOP,
    )
    seed: int = parameter(
        TrainSettings.seed,
        help="Random seed of the split and of training.",
        minimum=0,
        maximum=2**31 - 1,
        group=LOOP,
    )
    registry: str = parameter(
        "",
        help="Model registry: a folder or an address.",
        metavar="DIR|URI",
        shown_default="OUT/registry",
        variable="LIDLOOP_REGISTRY",
        is_path=True,
        group=LOOP,
    )

    base_weights: str = parameter(
        DEFAULT_WEIGHTS,
        help="Weights that iteration 0 starts from: starter (they come with lidloop and know faces), "
        "champion (of the registry; the default with --continue), a YOLOv8 pose .pt file, here or at "
        "s3://BUCKET/…, or a name that Ultralytics publishes. A .pt file is a pickle, which can run code: "
        "use one you trust.",
        is_path=True,
        metavar="starter|champion|FILE|NAME",
        group=TRAINING,
    )
    epochs: int = parameter(
        TrainSettings.epochs,
        help="Passes over the training pictures in each iteration.",
        minimum=1,
        maximum=10_000,
        group=TRAINING,
    )
    patience: int = parameter(
        TrainSettings.patience,
        help="Stop a training after this many epochs without a better validation; 0 turns this rule off.",
        minimum=0,
        maximum=10_000,
        group=TRAINING,
    )
    imgsz: int = parameter(
        TrainSettings.imgsz,
        help="Longer side of the network's input in pixels, a multiple of 32.",
        minimum=64,
        maximum=4096,
        multiple_of=32,
        group=TRAINING,
    )
    batch: int = parameter(
        TrainSettings.batch,
        help="Pictures per training step, over all GPUs together.",
        minimum=1,
        maximum=65_536,
        group=TRAINING,
    )
    ignore_unlabelled: bool = parameter(
        True,
        help="Leave out of the loss what the model takes for a face without a label; otherwise such a face "
        "is trained as background.",
        flags=("--ignore-unlabelled/--punish-unlabelled",),
        group=TRAINING,
    )

    conf: float = parameter(
        0.7,
        help=f"Smallest confidence of a prediction that becomes a label, {TRAIN_FLOOR:g} to 1.",
        minimum=TRAIN_FLOOR,
        exclusive_maximum=1.0,
        group=LABELS,
    )
    iou: float = parameter(
        0.3,
        help="A prediction is dropped if its box overlaps a label's box by more than this IoU, 0 to 1.",
        minimum=0.0,
        exclusive_maximum=1.0,
        group=LABELS,
    )
    retention: str = parameter(
        "accumulate",
        help="accumulate: grown labels stay for all iterations. relabel: each iteration grows them anew. "
        "Human labels stay with either.",
        choices=choices_of(Retention),
        group=LABELS,
    )
    paper_exact: bool = parameter(
        False,
        help="Compare predictions with existing labels only, not with each other, as the paper does.",
        group=LABELS,
    )

    device: str = parameter(
        TrainSettings.device,
        help="Device for training: cpu, 0, or 0,1 and so on; empty takes a GPU if there is one.",
        shown_default="a GPU if there is one",
        group=MACHINE,
    )
    gpus: int = parameter(
        0,
        help="Train on this many GPUs, instead of --device.",
        minimum=0,
        maximum=1024,
        shown_default="--device",
        group=MACHINE,
    )
    workers: int = parameter(
        TrainSettings.workers,
        help="Processes that load pictures during training.",
        minimum=0,
        maximum=1024,
        group=MACHINE,
    )
    shards: int = parameter(
        1,
        help="Parts in which pictures are auto-labelled; two at a time on one machine, all on a cluster.",
        minimum=1,
        maximum=10_000,
        group=MACHINE,
    )

    def __post_init__(self) -> None:
        problems = list(self._values())
        wrong = {name for name, _ in problems}
        if "sources" not in wrong:
            problems += self._sources()
        if not wrong & {"base_weights", "truth", "registry", "continue_from", "label_version"}:
            problems += self._files()
        if problems:
            raise SettingsError(problems)

    def _values(self) -> Iterator[tuple[str, str]]:
        """Problems of types and ranges, and of parameters that exclude each other."""
        right = True
        for name, known in declared(RunSettings).items():
            value = getattr(self, name)
            problem = known.type_problem(value) or known.problem(value)
            if problem:
                right = False
                yield name, f"{known.flag} {problem}"
        if right and self.gpus and self.device:
            yield "gpus", "give --gpus or --device, not both"

    def _sources(self) -> Iterator[tuple[str, str]]:
        if self.continue_from:
            if self.sources:
                yield "sources", "give --source or --continue, not both"
            if self.truth:
                yield "truth", "--truth is for sources, not for --continue"
            return
        for name in ("label_version", "extend_gold"):
            if getattr(self, name):
                yield name, f"{declared(RunSettings)[name].flag} needs --continue RUN"
        if not self.sources:
            yield "sources", "no source is given; add --source ibug:DIR"
        labelled = False
        for source in self.sources:
            try:
                self._check(source)
                labelled |= parse_source(source).labelled
            except SourceError as error:
                labelled = True
                yield "sources", str(error)
        if self.sources and not labelled:
            yield "sources", "no source has labels; a run needs one that has, as in --source ibug:DIR"
        repeated = {s for s in self.sources if self.sources.count(s) > 1}
        if repeated:
            yield "sources", f"source {sorted(repeated)[0]} is given twice"

    def _check(self, source: str) -> None:
        check_source(source)

    def _files(self) -> Iterator[tuple[str, str]]:
        """Problems of weights, hidden labels and registry on this machine."""
        path = Path(self.base_weights)
        is_name = self.base_weights in (STARTER, CHAMPION) or (
            len(path.parts) == 1 and path.suffix in (".pt", ".yaml")
        )
        try:
            if not is_name and not is_stored(self.base_weights) and not path.exists():
                yield (
                    "base_weights",
                    f"there are no base weights at {path}; give the path of a YOLOv8 pose .pt file",
                )
        except SYSTEM_ERRORS as error:
            yield "base_weights", f"the base weights cannot be read: {cause(error)}"
        yield from self._earlier_run()
        try:
            if self.truth and not Path(self.truth).is_file():
                yield "truth", f"there is no file of hidden labels at {self.truth}"
        except SYSTEM_ERRORS as error:
            yield "truth", f"the hidden labels cannot be read: {cause(error)}"
        try:
            if self.registry:
                locate(self.registry)
        except RegistryError as error:
            yield "registry", str(error)

    def _earlier_run(self) -> Iterator[tuple[str, str]]:
        """Problems of the run to continue, and of its labels, on this machine."""
        if not self.continue_from:
            return
        from lidloop.report.data import read_summary  # slow to import, and rarely needed
        from lidloop.report.earlier_run import registry_of

        if is_stored(self.continue_from):
            if not self.registry:
                yield "registry", "with --continue s3://… give the --registry of that run"
            if not self.label_version:
                yield "label_version", "with --continue s3://… give the --labels to start from"
            return
        try:
            read_summary(Path(self.continue_from))
            registry_of(Path(self.continue_from))
        except LidloopError as error:
            yield "continue_from", str(error)
        labels = self.label_version
        if labels and not labels.isdigit() and not is_stored(labels) and not Path(labels).is_dir():
            yield "label_version", f"there is no label version at {labels}"

    @property
    def registry_before(self) -> str:
        """The registry that was given, else that of the run to continue; empty for neither."""
        if self.registry:
            return absolute_registry(self.registry)
        if self.continue_from and not is_stored(self.continue_from):
            from lidloop.report.earlier_run import registry_of

            return registry_of(Path(self.continue_from))
        return ""

    @property
    def training_device(self) -> str:
        """Device in the form that Ultralytics takes."""
        return ",".join(map(str, range(self.gpus))) if self.gpus else self.device

    def parameters(self, *, out: Path, run: str) -> dict[str, Any]:
        """Return the pipeline's parameters for a run in the folder ``out``, with absolute paths."""
        same = asdict(self)
        for name in ("iterations", "gpus", "shards", "sources", "registry", "device"):
            del same[name]
        weights = Path(self.base_weights)
        return {
            **same,
            "sources": [absolute_source(s) for s in self.sources],
            "sources_fingerprint": fingerprint(self.sources),
            "base_weights": str(weights.resolve())
            if self.base_weights not in (STARTER, CHAMPION) and weights.exists()
            else self.base_weights,
            "device": self.training_device,
            "shards": list(shard_names(self.shards)),
            "truth": str(Path(self.truth).resolve()) if self.truth else "",
            "registry": self.registry_before or str(out / "registry"),
            "continue_from": absolute_place(self.continue_from) if self.continue_from else "",
            "label_version": _absolute_labels(self.label_version),
            "run": run,
            "checkpoints": str(out / "checkpoints"),
            "pictures": "",
        }

    def identity(self, out: Path) -> dict[str, Any]:
        """Return the values that must be unchanged to resume a run."""
        weights = Path(base_weights(self.base_weights))
        return {
            **asdict(self),
            "registry": self.registry_before,
            "continue_from": absolute_place(self.continue_from) if self.continue_from else "",
            "label_version": _absolute_labels(self.label_version),
            "sources": [absolute_source(s) for s in self.sources],
            "files under the sources": fingerprint(self.sources),
            "base weights' file": _stat(weights) if weights.is_file() else "",
            "folder": str(out),
            "lidloop": __version__,
        }


@dataclass(frozen=True, kw_only=True)
class RemoteSettings(RunSettings):
    """Settings of a run on another machine: its sources and weights need not exist on this one."""

    def _check(self, source: str) -> None:
        parse_source(source)

    def _files(self) -> Iterator[tuple[str, str]]:
        return iter(())


def _absolute_labels(labels: str) -> str:
    """A label version with an absolute path; a number or an address as it is."""
    return labels if labels.isdigit() or not labels else absolute_place(labels)


def absolute_registry(registry: str) -> str:
    """Return a registry's folder or database with an absolute path; the address of a server as it is.

    Raises:
        RegistryError: for an invalid address.
    """
    place = locate(registry)
    if place.database is None:
        return registry
    return place.uri if registry.startswith("sqlite:") else str(place.database.parent)


def shard_names(count: int) -> tuple[str, ...]:
    """Return the shards in the form of the pipeline: ``0/2``, ``1/2``."""
    return tuple(f"{k}/{count}" for k in range(count))


def absolute_source(source: str) -> str:
    """Return a source with an absolute path; a source in a store stays as it is.

    Raises:
        SourceError: for an invalid source.
    """
    parsed = parse_source(source)
    if is_stored(parsed.place):
        return source
    return str(replace(parsed, place=str(parsed.path.resolve())))


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the differences between two identities, one sentence each."""
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
