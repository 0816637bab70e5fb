"""One fine-tune of YOLOv8n-pose on a label version: resumable, exported to ONNX and checked."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from lidloop import __version__
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.picture_index import ImageRecord
from lidloop.data.reviews import declined_boxes, read_reviews
from lidloop.errors import ModelError, TrainingError
from lidloop.files import folder_atomic, require_free, sha256, write_atomic
from lidloop.landmarks import FLIP, N_POINTS
from lidloop.storage.files import is_stored, pull_file
from lidloop.training.checkpoints import Checkpoints
from lidloop.training.export import compare, export_onnx
from lidloop.training.plain_paths import is_plain, plain_file, plain_folder
from lidloop.training.ultralytics_settings import quiet_ultralytics
from lidloop.training.work_folder import remove_own, require_own

log = logging.getLogger("lidloop")

DEFAULT_WEIGHTS: Final = "yolov8n-pose.pt"

ULTRALYTICS_DEFAULT: Final[dict[str, Any]] = {"kind": "constant", "sigma": 1 / N_POINTS}
"""Ultralytics' own default for 51 points."""

SIGMA_RECIPE: Final[dict[str, Any]] = {"kind": "anneal", "start": 0.1, "end": 0.02, "hold": 0.2}

SIGMA_CONTINUED: Final[dict[str, Any]] = {"kind": "anneal", "start": 0.04, "end": 0.02, "hold": 0.3}
"""For weights that were trained on the 51 points: wide sigmas would lose precision again."""

CONTINUED_LR: Final = 0.4
"""Factor on the learning rate for weights that were trained on the 51 points."""

IGNORE_UNLABELLED: Final[dict[str, float]] = {"score": 0.3, "iou": 0.3}
"""No background loss where the model's own score is above ``score`` and its box overlaps every label by at
most ``iou``: a face that nobody labelled must not be taught as background."""


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings of a fine-tune.

    Attributes:
        sigma: recipe of the keypoint loss's OKS sigma (``pose_trainer.sigma_at``); None takes the one
            measured best for a new head or for weights that already know the points.
        ignore: see ``IGNORE_UNLABELLED``; None punishes unlabelled faces as background.
        epochs: passes over the training pictures.
        patience: stop after so many epochs without a better validation; 0 never stops early.
        imgsz: the longer side of the network's input in pixels, a multiple of 32.
        batch: pictures per step, over all GPUs together.
        device: ``cpu``, ``0``, ``0,1`` … or empty for what there is.
        seed: of everything random.
        lr: first learning rate of AdamW; it falls by a cosine to ``lr × lr_final``.
        scale, shear, perspective: of Ultralytics' augmentation: share of size, degrees, share per pixel.
        freeze: number of the network's first layers that keep their weights.
    """

    epochs: int = 10
    patience: int = 0
    imgsz: int = 640
    batch: int = 16
    device: str = ""
    seed: int = 0
    workers: int = 4
    lr: float = 0.0015
    lr_final: float = 0.02
    mosaic: float = 0.5
    rotate: float = 10.0
    scale: float = 0.4
    shear: float = 0.0
    perspective: float = 0.0
    freeze: int = 0
    sigma: Mapping[str, Any] | None = None
    ignore: Mapping[str, float] | None = field(default_factory=lambda: dict(IGNORE_UNLABELLED))

    def __post_init__(self) -> None:
        problems = [
            f"{name} must be {rule}, not {getattr(self, name)}"
            for name, rule, good in (
                ("epochs", "at least 1", self.epochs >= 1),
                ("imgsz", "a multiple of 32, at least 64", self.imgsz >= 64 and self.imgsz % 32 == 0),
                ("batch", "at least 1", self.batch >= 1),
                ("patience", "0 or more", self.patience >= 0),
                ("lr", "positive", self.lr > 0),
            )
            if not good
        ]
        if problems:
            raise TrainingError("; ".join(problems))


def train(
    dataset: Dataset,
    labels: LabelVersion,
    out: Path,
    *,
    iteration: int,
    weights: str | Path = DEFAULT_WEIGHTS,
    settings: TrainSettings | None = None,
    checkpoints: Path | str | None = None,
) -> Path:
    """Fine-tune ``weights`` on a label version and write a model folder.

    The folder holds ``model.onnx`` (compared with the torch model on real images), ``weights.pt`` and
    ``training.json``. The best epoch is chosen on the human labels of the validation split.

    Args:
        dataset: the pictures.
        labels: the labels; those of the training split teach, the human ones of the validation split judge.
        out: the model folder to write, complete or not at all: a new one, or an empty one.
        iteration: goes into ``training.json``.
        weights: a ``.pt`` file, a model folder, a ``.yaml`` of Ultralytics for a start from random numbers,
            the name of weights that Ultralytics publishes, or ``s3://BUCKET/…/NAME.pt``. A ``.pt`` is a
            pickle: open only what you trust.
        settings: see ``TrainSettings``.
        checkpoints: where the run keeps what it needs to go on after a kill; beside ``out`` if not given.
            Removed when the model is finished. For an ``s3://`` address it is beside ``out`` and copied
            there after each epoch; the copies stay.

    Raises:
        OccupiedError: where ``out`` is a file or a folder that is not empty.
        ModelError: for weights that are missing, cannot be downloaded or are no pose model.
        TrainingError: for labels without a face, or when the exported model differs from the trained one.
    """
    require_free(out)  # before hours of training
    settings = settings or TrainSettings()
    for split in ("train", "val"):
        if not sum(labels.info["counts"][split].values()):
            raise TrainingError(
                f"version {labels.version} has no labelled face in its {split} split; give more pictures "
                "or another split"
            )
    start = time.monotonic()
    out = out.resolve()
    # Absolute, or Ultralytics puts it under a folder of its own.
    store = str(checkpoints) if checkpoints and is_stored(str(checkpoints)) else ""
    kept = Path(checkpoints).resolve() if checkpoints and not store else None
    work = kept or out.parent / f".{out.name}.training"
    require_own(work)
    with plain_folder(work) as plain:
        return _train(dataset, labels, out, work, plain, store, iteration, weights, settings, start)


def _train(
    dataset: Dataset,
    labels: LabelVersion,
    out: Path,
    work: Path,
    plain: Path,
    store: str,
    iteration: int,
    weights: str | Path,
    settings: TrainSettings,
    start: float,
) -> Path:
    """Train, with the state to resume from in ``work`` and Ultralytics' own files in ``plain``."""
    base = resolve_weights(weights, scratch=work / "base")
    readable = plain_file(base, plain / "weights")
    settings = completed(settings, knows_points=_knows_points(_open(readable)))
    work.mkdir(parents=True, exist_ok=True)
    settings_file = work / "settings.json"
    wanted = json.dumps(
        {"settings": asdict(settings), "labels": _labels_key(labels), "weights": _digest(base)},
        sort_keys=True,
    )
    checkpoint = Checkpoints(plain / "run", work / "safe", store)
    checkpoint.fetch(settings_file)
    same = settings_file.exists() and settings_file.read_text(encoding="utf-8") == wanted
    resumable = same and checkpoint.last.exists()
    if not resumable:
        shutil.rmtree(plain / "run", ignore_errors=True)
        shutil.rmtree(work / "safe", ignore_errors=True)
        (work / "trained").unlink(missing_ok=True)
    write_atomic(settings_file, wanted)
    checkpoint.begin(settings_file)
    data = _write_data(plain, dataset, labels, settings)
    best = _fit(work, plain, data, readable, settings, checkpoint, resume=resumable)
    with folder_atomic(out) as made:
        folder = made if is_plain(made) else plain / "model"
        folder.mkdir(exist_ok=True)
        shutil.copyfile(best, folder / "weights.pt")
        export_onnx(folder, imgsz=settings.imgsz)
        write_atomic(folder / "training.json", json.dumps({"imgsz": settings.imgsz, "iteration": iteration}))
        check = compare(folder, [dataset.path(r.id) for r in dataset.split("val")[:8]])
        info = {
            "format": 1,
            "iteration": iteration,
            "imgsz": settings.imgsz,
            "settings": asdict(settings),
            "base_weights": {"name": Path(base).name, "sha256": _digest(base)},
            "dataset": dataset.digest,
            "label_version": labels.version,
            "label_counts": labels.info["counts"],
            "epochs_run": _epochs_run(plain / "run" / "results.csv"),
            "resumed": resumable,
            "onnx_check": check,
            "versions": _versions(),
            "seconds": round(time.monotonic() - start, 1),
        }
        write_atomic(folder / "training.json", json.dumps(info, indent=1))
        results = plain / "run" / "results.csv"
        if results.exists():
            shutil.copyfile(results, folder / "epochs.csv")
        if folder != made:
            shutil.copytree(folder, made, dirs_exist_ok=True)
    remove_own(work)
    return out


def completed(settings: TrainSettings, *, knows_points: bool) -> TrainSettings:
    """Fill in sigma and learning rate: lower for weights that were trained on the 51 points."""
    sigma = settings.sigma or (SIGMA_CONTINUED if knows_points else SIGMA_RECIPE)
    return replace(settings, sigma=dict(sigma), lr=settings.lr * (CONTINUED_LR if knows_points else 1.0))


def resolve_weights(weights: str | Path, scratch: Path | None = None) -> str:
    """Find the weights to start from and return a path, or a ``.yaml`` name of Ultralytics.

    Args:
        weights: as in ``train``.
        scratch: folder that weights from an object store are downloaded to.

    Raises:
        ModelError: says how to give a path where there is no such file and none can be downloaded.
        StoreError: for weights in a store that cannot be reached or read.
    """
    if scratch is not None and is_stored(str(weights)):
        scratch.mkdir(parents=True, exist_ok=True)
        return str(pull_file(str(weights), scratch))
    path = Path(weights)
    if path.is_dir():
        path = path / "weights.pt"
    if path.suffix == ".yaml":
        return str(path)
    if path.exists():
        return str(path.resolve())
    if path.suffix != ".pt" or len(path.parts) > 1:
        raise ModelError(f"there are no weights at {path}; give the path of a YOLOv8 pose .pt file")
    quiet_ultralytics()
    from ultralytics.utils.downloads import attempt_download_asset

    try:
        found = Path(attempt_download_asset(str(path)))
    except Exception as error:
        found, reason = path, f" ({type(error).__name__}: {error})"
    else:
        reason = ""
    if not found.exists():
        raise ModelError(
            f"{path.name} is not here and could not be downloaded{reason}. Download it where there is a "
            f"network and give its path: --base-weights /path/to/{path.name}"
        )
    return str(found.resolve())


def _fit(
    work: Path,
    plain: Path,
    data: Path,
    base: str,
    settings: TrainSettings,
    checkpoint: Checkpoints,
    *,
    resume: bool,
) -> Path:
    """Run Ultralytics in ``plain/run`` and return the best checkpoint, without its optimizer."""
    quiet_ultralytics()
    from ultralytics.utils.torch_utils import strip_optimizer

    from lidloop.training.pose_trainer import LandmarkTrainer

    overrides: dict[str, Any] = {
        "data": str(data), "epochs": settings.epochs, "patience": settings.patience or settings.epochs,
        "imgsz": settings.imgsz, "batch": settings.batch, "device": settings.device or None,
        "seed": settings.seed, "workers": settings.workers, "project": str(plain), "name": "run",
        "exist_ok": True,
        "optimizer": "AdamW", "lr0": settings.lr, "lrf": settings.lr_final, "cos_lr": True,
        "nbs": settings.batch, "warmup_epochs": min(1.0, settings.epochs / 5), "warmup_bias_lr": settings.lr,
        "momentum": 0.9, "mosaic": settings.mosaic, "close_mosaic": max(1, settings.epochs // 3),
        "degrees": settings.rotate, "scale": settings.scale, "translate": 0.1, "shear": settings.shear,
        "perspective": settings.perspective, "freeze": settings.freeze or None,
        "plots": False, "verbose": False, "amp": settings.device != "cpu", "cache": False,
    }  # fmt: skip
    epochs = checkpoint.restore() if resume else 0
    if epochs:
        log.info("going on from the end of epoch %d", epochs)
    trained = work / "trained"
    if not trained.exists() and epochs < settings.epochs:
        last = checkpoint.weights / "last.pt"
        model = _open(str(last) if resume else base)
        model.add_callback("on_model_save", checkpoint.keep)
        model.add_callback("on_fit_epoch_end", _log_epoch)
        again = {"resume": str(last), "data": str(data)}
        model.train(trainer=LandmarkTrainer, **(again if resume else overrides))
        trained.touch()
    best = checkpoint.weights / "best.pt"
    if not best.exists():
        raise TrainingError(f"training left no checkpoint in {best.parent}")
    strip_optimizer(str(best))
    return best


def _open(weights: str) -> Any:
    """Open weights with Ultralytics.

    Raises:
        ModelError: for what is no YOLO checkpoint, or one of another task.
    """
    quiet_ultralytics()
    from ultralytics import YOLO

    try:
        model = YOLO(weights, task="pose")
    except Exception as error:
        raise ModelError(f"{weights} cannot be opened as YOLO weights: {error}") from error
    if type(model.model).__name__ != "PoseModel":
        raise ModelError(f"{weights} is not a pose model; lidloop starts from YOLOv8 pose weights")
    return model


def _knows_points(model: Any) -> bool:
    """True if the head was trained on 51 points; a ``.yaml`` has no trained head."""
    return model.ckpt is not None and list(model.model.model[-1].kpt_shape) == [N_POINTS, 3]


def _log_epoch(trainer: Any) -> None:
    from ultralytics.utils import RANK

    if trainer.epoch >= trainer.epochs or RANK not in (-1, 0):  # the other GPUs' processes have no metrics
        return
    losses = " ".join(
        f"{name.removesuffix('_loss')} {float(value):.3f}" for name, value in trainer.tloss.items()
    )
    left = (trainer.epochs - trainer.epoch - 1) * (trainer.epoch_time or 0)
    pose = (trainer.metrics or {}).get("metrics/mAP50-95(P)") if trainer.args.val else None
    judged = f", validation pose AP {pose:.3f}" if pose else ""
    log.info(
        "epoch %d of %d: %s%s, about %d s left",
        trainer.epoch + 1, trainer.epochs, losses, judged, left,
    )  # fmt: skip


def _write_data(work: Path, dataset: Dataset, labels: LabelVersion, settings: TrainSettings) -> Path:
    """Write the data YAML and the picture lists that Ultralytics reads."""
    import yaml

    chosen = training_pictures(dataset, labels, declined=settings.ignore is not None)
    lists = {"train": chosen, "val": dataset.split("val")}
    dataset.pictures.fetch([*lists["train"], *lists["val"]])
    for split, records in lists.items():
        files = [str(dataset.path(r.id).resolve()) for r in records]
        write_atomic(work / f"{split}.txt", "\n".join(files) + "\n")
    data = {
        "path": str(work.resolve()),
        "train": "train.txt",
        "val": "val.txt",
        "names": {0: "face"},
        "kpt_shape": [N_POINTS, 3],
        "flip_idx": list(FLIP),
        "lidloop": {
            "dataset": str(dataset.root.resolve()),
            "labels": str(labels.root.resolve()),
            "sigma": dict(settings.sigma or SIGMA_RECIPE),
            "ignore": dict(settings.ignore) if settings.ignore else None,
            "bf16": has_bf16(),
        },
    }
    path = work / "data.yaml"
    write_atomic(path, yaml.safe_dump(data))
    return path


def training_pictures(
    dataset: Dataset, labels: LabelVersion, *, declined: bool = False
) -> tuple[ImageRecord, ...]:
    """The pictures to train on: those of the train split that have a label in this version.

    A picture without a label would teach that the faces on it are background.

    Args:
        dataset: the pictures.
        labels: the version.
        declined: also pictures without a label in which a person has declined a face; for a loss that leaves
            out the rest of such a picture.
    """
    chosen = labels.labelled()
    if declined:
        chosen = chosen | declined_boxes(read_reviews(labels)).keys()
    return tuple(record for record in dataset.split("train") if record.id in chosen)


def has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """True if this CPU multiplies bfloat16 in hardware, by Linux's cpuinfo: AMX matrix units, or AVX-512."""
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return not flags.isdisjoint(("amx_bf16", "avx512_bf16"))


def _digest(weights: str) -> str:
    return sha256(Path(weights)) if Path(weights).exists() else ""


def _labels_key(labels: LabelVersion) -> str:
    """Two versions of one number may differ: their ledgers tell them apart."""
    return f"{labels.dataset_digest}:{sha256(labels.root / 'ledger' / f'v{labels.version}.parquet')}"


def _epochs_run(results: Path) -> int:
    return max(0, len(results.read_text().splitlines()) - 1) if results.exists() else 0


def _versions() -> dict[str, str]:
    import torch
    import ultralytics

    return {"lidloop": __version__, "torch": torch.__version__, "ultralytics": ultralytics.__version__}
