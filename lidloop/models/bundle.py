"""Bundle: a folder with a trained model, its evaluation, its settings, and digests of all files.

::

    model.onnx               the whole network, self-contained; its digest identifies the model
    scores.onnx, boxes.onnx, points.onnx
                             the same network in parts, used for inference
    weights.pt               start of the next iteration; a pickle, never opened by serving
    training.json            training settings; epochs.csv: metrics by epoch, if training wrote them
    evaluation.json          metrics on both yardsticks
    reference_profile.json   distribution of the training faces, for drift
    watch.json               drift, guards and metrics of its iteration, if measured
                             (``lidloop.drift.watch``)
    MODEL_CARD.md            model card
    scores-int8.onnx         scores.onnx in INT8, if accepted (``lidloop.training.quantise``)
    bundle.json              identity, lineage, defaults, and SHA-256 and size of every other file
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from lidloop import __version__
from lidloop.errors import ModelError, doing
from lidloop.files import folder_atomic, link_or_copy, sha256, write_atomic
from lidloop.landmarks import N_POINTS
from lidloop.models import model_card

FORMAT: Final = 1
MANIFEST: Final = "bundle.json"
ONNX: Final = "model.onnx"
SCORES, BOXES, POINTS = "scores.onnx", "boxes.onnx", "points.onnx"
SCORES_INT8: Final = "scores-int8.onnx"
PARTS: Final = (SCORES, BOXES, POINTS)
"""The network in parts (``lidloop.training.split_graph``): all of them, or none in older
bundles."""
WEIGHTS: Final = "weights.pt"
TRAINED: Final = (ONNX, WEIGHTS, "training.json")
"""Files that training writes into a model folder."""
OPTIONAL: Final = (*PARTS, "epochs.csv")
WATCH: Final = "watch.json"
CARD: Final = "MODEL_CARD.md"
FILES: Final = (*TRAINED, "evaluation.json", "reference_profile.json", CARD)

VARIANTS: Final = ("fp32", "int8")

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final[dict[str, type | tuple[type, ...]]] = {
    "name": str, "run": str, "iteration": int, "imgsz": int, "n_points": int, "landmarks": str, "conf": float,
    "iou": float, "variant": str, "parent": (str, type(None)), "dataset": str, "label_version": int,
    "labels": dict, "created": str, "lidloop": str, "files": dict,
}  # fmt: skip


@dataclass(frozen=True)
class Bundle:
    """A sealed model folder, opened with ``Bundle.open`` or made with ``seal``."""

    root: Path
    info: dict[str, Any]

    @classmethod
    def open(cls, root: Path, *, verify: bool = True, name: str = "") -> Bundle:
        """Open a bundle. Only ``bundle.json`` is parsed before all digests are verified.

        Args:
            root: the folder.
            name: name of the bundle in messages, for temporary folders; by default ``root``.
            verify: check size and SHA-256 of every file. False only directly after a verification.

        Raises:
            ModelError: for a folder that is not a bundle, another format, or a file that is missing,
                changed, not listed or not a regular file.
        """
        name = name or str(root)
        manifest = f"{name}/{MANIFEST}"
        info = _read_object(
            root / MANIFEST, manifest, missing=f"{name} is not a bundle: it has no {MANIFEST}"
        )
        if info.get("format") != FORMAT:
            raise ModelError(f"{manifest} has format {info.get('format')!r}; this lidloop reads {FORMAT}")
        for key, kind in _FIELDS.items():
            if key not in info or not isinstance(info[key], kind) or isinstance(info[key], bool):
                raise ModelError(f"{manifest}: {key} is missing or has the wrong type")
        if info["n_points"] != N_POINTS:
            raise ModelError(f"{name} detects {info['n_points']} points; lidloop works with {N_POINTS}")
        for file, entry in info["files"].items():
            _check_entry(manifest, file, entry)
        missing = [file for file in FILES if file != WEIGHTS and file not in info["files"]]
        if missing:
            raise ModelError(f"{manifest} does not list {', '.join(missing)}")
        if verify:
            _verify(root, name, info["files"])
        return cls(root, info)

    @property
    def onnx(self) -> Path:
        """Path of the ONNX model."""
        return self.root / ONNX

    @property
    def digest(self) -> str:
        """SHA-256 of ``bundle.json``, which covers all files through their digests."""
        return sha256(self.root / MANIFEST)

    @property
    def model_digest(self) -> str:
        """SHA-256 of ``model.onnx``."""
        return str(self.info["files"][ONNX]["sha256"])

    @property
    def imgsz(self) -> int:
        """Side of the square input, in pixels."""
        return int(self.info["imgsz"])

    @property
    def gold(self) -> dict[str, Any]:
        """Metrics over all gold faces, from ``evaluation.json``."""
        evaluation = self.read("evaluation.json")
        overall = evaluation.get("gold", {}).get("overall")
        if not isinstance(overall, dict):
            raise ModelError(f"{self.root / 'evaluation.json'} has no metrics on gold; evaluate again")
        return overall

    def read(self, name: str) -> dict[str, Any]:
        """Read one of the bundle's JSON files.

        Raises:
            ModelError: if it is missing or not a JSON object.
        """
        return _read_object(self.root / name, missing=f"{self.root} has no {name}")


class ModelFiles(NamedTuple):
    """Files and settings of a model folder that a detector needs."""

    onnx: Path
    """The whole network."""
    parts: tuple[Path, Path, Path] | None
    """The network in parts: scores, boxes, points; None if there are none."""
    imgsz: int | None
    """Side of the square input in pixels; None for a bare ``.onnx`` file, whose metadata have it."""
    iteration: int
    """Iteration that trained the model; 0 if unknown."""


def model_files(path: Path, variant: str | None = None) -> ModelFiles:
    """Find the files of a model: in a bundle (verified first), a training folder, or a bare ``.onnx`` file.

    Args:
        variant: one of ``VARIANTS``; by default that of the bundle, else ``fp32``.

    Raises:
        ModelError: if there is no model or no such variant, or the bundle is invalid.
    """
    if path.is_file():
        if path.suffix != ".onnx":
            raise ModelError(f"{path} is not an ONNX model; give a .onnx file, a model folder or a bundle")
        if variant not in (None, "fp32"):
            raise ModelError(f"{path} is a single network without variants")
        return ModelFiles(path, None, None, 0)
    if (path / MANIFEST).exists():
        bundle = Bundle.open(path)
        parts = _parts(path, variant or bundle.info["variant"])
        return ModelFiles(bundle.onnx, parts, bundle.imgsz, int(bundle.info["iteration"]))
    if not path.is_dir():
        raise ModelError(f"there is no model at {path}")
    training = _read_training(path)
    if not (path / ONNX).is_file():
        raise ModelError(f"{path} has no {ONNX}: its training has not finished")
    return ModelFiles(
        path / ONNX, _parts(path, variant or "fp32"), training["imgsz"], training.get("iteration", 0)
    )


def _parts(folder: Path, variant: str = "fp32") -> tuple[Path, Path, Path] | None:
    """Return the paths of the network's parts; None if the folder has none."""
    if variant not in VARIANTS:
        raise ModelError(f"{folder}: there is no variant {variant!r}, only {' and '.join(VARIANTS)}")
    if variant == "int8" and not (folder / SCORES_INT8).is_file():
        raise ModelError(f"{folder} has no INT8 variant: make one with `lidloop quantise`")
    missing = [name for name in PARTS if not (folder / name).is_file()]
    if len(missing) == len(PARTS):
        return None
    if missing:
        raise ModelError(f"{folder} has only some parts of the network; missing: {', '.join(missing)}")
    return folder / (SCORES_INT8 if variant == "int8" else SCORES), folder / BOXES, folder / POINTS


def seal(
    model_dir: Path,
    out: Path,
    *,
    evaluation: Mapping[str, Any],
    profile: Mapping[str, Any],
    watch: Mapping[str, Any] | None = None,
    run: str,
    iteration: int,
    parent: str | None,
    dataset: str,
    label_version: int,
    labels: Mapping[str, Mapping[str, int]],
    name: str = "lidloop",
    conf: float = 0.25,
    iou: float = 0.7,
    created: str | None = None,
) -> Bundle:
    """Make a bundle from a training folder, atomically.

    Args:
        model_dir: folder with ``model.onnx``, ``weights.pt`` and ``training.json``.
        out: folder of the bundle: a new one, or an empty one.
        evaluation: content of ``evaluation.json``.
        profile: reference profile of the training faces (``lidloop.drift``).
        watch: drift, guards and metrics of its iteration (``lidloop.drift.watch``), if known.
        run: id of the run that trained the model.
        iteration: iteration that trained it.
        parent: registry version that it was fine-tuned from.
        dataset: digest of the dataset.
        label_version: label version that it was trained on.
        labels: number of labels in it: ``{"train": {"human": n, "grown": n}, "val": …}``.
        name: name of the model.
        conf: default confidence threshold.
        iou: default IoU threshold of its non-maximum suppression.
        created: time in ISO 8601; now by default.

    Raises:
        ModelError: if the model folder is incomplete, or it or the evaluation is of another iteration.
    """
    training = _read_training(model_dir)
    absent = [file for file in TRAINED if not (model_dir / file).is_file()]
    if absent:
        raise ModelError(f"{model_dir} has no {', '.join(absent)}: its training has not finished")
    for what, number in (
        ("training", training.get("iteration")),
        ("evaluation", evaluation.get("iteration")),
    ):
        if number != iteration:
            raise ModelError(f"the {what} is of iteration {number}, not {iteration}: {model_dir}")
    info: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "run": run,
        "iteration": iteration,
        "imgsz": training["imgsz"],
        "n_points": N_POINTS,
        "landmarks": "ibug-51",
        "conf": float(conf),
        "iou": float(iou),
        "variant": "fp32",
        "parent": parent,
        "dataset": dataset,
        "label_version": label_version,
        "labels": {split: dict(counts) for split, counts in labels.items()},
        "created": created or datetime.now(UTC).isoformat(timespec="seconds"),
        "lidloop": __version__,
    }
    _parts(model_dir)
    given = [*TRAINED, *(file for file in OPTIONAL if (model_dir / file).is_file())]
    with folder_atomic(out) as folder:
        for file in given:
            link_or_copy(model_dir / file, folder / file)
        written = {"evaluation.json": evaluation, "reference_profile.json": profile}
        for file, content in (written if watch is None else written | {WATCH: watch}).items():
            write_atomic(folder / file, _dump(content, file))
        return Bundle(out, _finish(folder, info, training, evaluation))


def reseal(bundle: Bundle, out: Path, *, variants: Mapping[str, Any], int8: Path | None) -> Bundle:
    """Copy a bundle and record the variants that were tried, with INT8 where it was accepted.

    Args:
        out: folder of the new bundle: a new one, or an empty one.
        variants: for ``bundle.json``: by variant its acceptance, reasons and figures.
        int8: ``scores-int8.onnx`` if accepted; it becomes the default variant.
    """
    with folder_atomic(out) as folder:
        for file in set(bundle.info["files"]) - {CARD, SCORES_INT8}:
            link_or_copy(bundle.root / file, folder / file)
        if int8 is not None:
            shutil.copyfile(int8, folder / SCORES_INT8)
        info = {key: value for key, value in bundle.info.items() if key != "files"}
        info |= {"variant": "fp32" if int8 is None else "int8", "variants": dict(variants)}
        training, evaluation = bundle.read("training.json"), bundle.read("evaluation.json")
        return Bundle(out, _finish(folder, info, training, evaluation))


def _finish(
    folder: Path, info: dict[str, Any], training: Mapping[str, Any], evaluation: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the model card and ``bundle.json`` with the digests of all files; return its content."""
    write_atomic(folder / CARD, model_card.render(info, training, evaluation))
    files = sorted(folder.iterdir())
    digests = {file.name: {"sha256": sha256(file), "bytes": file.stat().st_size} for file in files}
    sealed = {**info, "files": digests}
    write_atomic(folder / MANIFEST, _dump(sealed, MANIFEST))
    return sealed


def _verify(root: Path, name: str, files: Mapping[str, Mapping[str, Any]]) -> None:
    # While another process replaces the folder, it is briefly missing.
    with doing(f"read the bundle {name}", ModelError):
        _verify_files(root, name, files)


def _verify_files(root: Path, name: str, files: Mapping[str, Mapping[str, Any]]) -> None:
    found = {path.name for path in root.iterdir()} - {MANIFEST}
    extra = sorted(found - set(files))
    if extra:
        raise ModelError(f"{name} holds files that {MANIFEST} does not list: {', '.join(extra)}; remove them")
    for file, entry in files.items():
        path = root / file
        if path.is_symlink() or not path.is_file():
            raise ModelError(f"{name}: {file} is missing or not a regular file; get the bundle again")
        if path.stat().st_size != entry["bytes"] or sha256(path) != entry["sha256"]:
            raise ModelError(f"{name}: {file} does not match its digest; get the bundle again")


def _check_entry(manifest: str, file: str, entry: Any) -> None:
    # Prevent path traversal: a name with a separator or ".." could leave the folder.
    if not _NAME.fullmatch(file) or file == MANIFEST:
        raise ModelError(f"{manifest} lists {file!r}, which is not a file name in the bundle")
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("bytes"), int)
        or not isinstance(entry.get("sha256"), str)
        or not _DIGEST.fullmatch(entry["sha256"])
    ):
        raise ModelError(f"{manifest}: no size and SHA-256 for {file}")


def _read_training(model_dir: Path) -> dict[str, Any]:
    path = model_dir / "training.json"
    training = _read_object(path, missing=f"{model_dir} is not a model folder: it has no training.json")
    if not isinstance(training.get("imgsz"), int) or not isinstance(training.get("iteration", 0), int):
        raise ModelError(f"{path}: imgsz and iteration must be integers")
    return training


def _read_object(path: Path, name: str = "", *, missing: str) -> dict[str, Any]:
    name = name or str(path)
    try:
        with doing(f"read {name}", ModelError):
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except (FileNotFoundError, NotADirectoryError):
                raise ModelError(missing) from None
    except ValueError as error:
        raise ModelError(f"{name} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{name} does not hold a JSON object")
    return content


def _dump(content: Mapping[str, Any], file: str) -> str:
    try:
        return json.dumps(content, indent=1, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{file} cannot be written as JSON: {error}; write undefined numbers as null"
        ) from error
