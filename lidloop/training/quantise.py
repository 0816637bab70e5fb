"""Static INT8 quantisation of a sealed model, measured on gold and accepted only within tolerances.

Only the part that runs everywhere is quantised, the backbone with the score head; the box and the point head
stay in 32 bits, since they run at a handful of anchors. Static, in QDQ form, calibrated on training pictures.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.detection.detector import Detector, as_input, load_detector
from lidloop.detection.runtimes import Floats32
from lidloop.detection.sparse_head import WHOLE
from lidloop.errors import DatasetError, ModelError
from lidloop.evaluation.gold import measure_on_gold
from lidloop.evaluation.promotion_gate import DEFAULT, Tolerances, losses
from lidloop.files import link_or_copy, require_free
from lidloop.images import read_rgb
from lidloop.models.bundle import ONNX, PARTS, SCORES, SCORES_INT8, Bundle, reseal

CALIBRATION_PICTURES: Final = 64


def quantise(
    bundle: Bundle,
    dataset: Dataset,
    labels: LabelVersion,
    out: Path,
    *,
    pictures: int = CALIBRATION_PICTURES,
    tolerances: Tolerances = DEFAULT,
) -> Bundle:
    """Make the INT8 variant of a bundle, and a bundle that runs it if it is as good on gold.

    It is accepted where it loses no recall, and neither gold NME nor lid-opening error becomes more than 2 %
    worse, relative, by ``tolerances``. Either way ``bundle.json`` of the new bundle says under ``variants``
    what was tried, with the figures; ``variant`` is what runs.

    Args:
        bundle: a sealed model with its network in parts.
        dataset: the pictures that it was trained on: those of the training split calibrate.
        labels: any of its label versions; the human ones of the validation split, gold, judge.
        out: folder of the new bundle: a new one, or an empty one.
        pictures: how many training pictures calibrate, evenly spread.
        tolerances: what still counts as equal.

    Raises:
        OccupiedError: where ``out`` is a file or a folder that is not empty.
        ModelError: for a bundle without parts or of another dataset, or without the packages that quantise.
        DatasetError: for labels of another dataset, or a split without pictures.
        ImageError: for a training picture that cannot be read.
    """
    require_free(out)  # before minutes of work
    if SCORES not in bundle.info["files"]:
        raise ModelError(f"{bundle.root} has only the whole network; train or export it again, in parts")
    if bundle.info["dataset"] != dataset.digest:
        raise ModelError(f"{bundle.root} was trained on another dataset than {dataset.root}")
    with tempfile.TemporaryDirectory(prefix="lidloop-") as name:
        work = Path(name)
        record = try_int8(bundle.root, dataset, labels, work, pictures=pictures, tolerances=tolerances)
        int8 = work / SCORES_INT8 if record["accepted"] else None
        return reseal(bundle, out, variants={"int8": record}, int8=int8)


def try_int8(
    model: Path,
    dataset: Dataset,
    labels: LabelVersion,
    work: Path,
    *,
    pictures: int = CALIBRATION_PICTURES,
    tolerances: Tolerances = DEFAULT,
) -> dict[str, Any]:
    """Quantise a model and compare it on gold with itself in 32 bits.

    Args:
        model: a bundle or model folder, in parts.
        work: a folder that is empty or not there; becomes a model folder with an INT8 variant.

    Returns:
        ``accepted``, ``reasons``, ``calibration_pictures``, and the figures ``gold`` and ``gold_fp32``.

    Raises:
        DatasetError: as ``quantise``.
    """
    for split in ("train", "val"):
        if not dataset.split(split):
            raise DatasetError(f"{dataset.root} has no pictures in its {split} split")
    work.mkdir(parents=True, exist_ok=True)
    for name in (ONNX, *PARTS, "training.json"):
        link_or_copy(model / name, work / name)
    plain = load_detector(work)
    quantise_scores(work, work / SCORES_INT8, _calibration(plain, dataset, pictures))
    int8 = load_detector(work, variant="int8")
    before, after = (measure_on_gold(detector, dataset, labels) for detector in (plain, int8))
    refusals, notes = losses(after, before, tolerances=tolerances)
    return {
        "accepted": not refusals,
        "reasons": refusals or notes,
        "calibration_pictures": min(pictures, len(dataset.split("train"))),
        "gold": after,
        "gold_fp32": before,
    }


def quantise_scores(folder: Path, out: Path, inputs: Iterator[Floats32]) -> None:
    """Quantise ``scores.onnx`` of a model folder.

    Weights get 7 bits, per channel: with 8, CPUs without VNNI instructions saturate, and a model that was
    judged on one machine would be worse on another.

    Args:
        out: the file to write; self-contained.
        inputs: (1, 3, h, w) each, as the network takes them.
    """
    try:
        import onnx
        from onnxruntime import quantization as q
    except ImportError as error:
        raise ModelError("quantising needs: pip install 'lidloop[train]'") from error

    class Reader(q.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Floats32] | None:
            batch = next(inputs, None)
            return None if batch is None else {"images": batch}

    with tempfile.TemporaryDirectory(prefix="lidloop-") as temporary:
        prepared = Path(temporary) / SCORES
        q.quant_pre_process(folder / SCORES, prepared, skip_symbolic_shape=True)
        q.quantize_static(
            prepared,
            out,
            Reader(),
            quant_format=q.QuantFormat.QDQ,
            activation_type=q.QuantType.QUInt8,
            weight_type=q.QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
    quantised = onnx.load(out)
    stated = {entry.key: entry.value for entry in onnx.load(folder / SCORES).metadata_props}
    onnx.helper.set_model_props(quantised, {WHOLE: stated[WHOLE]})
    onnx.save(quantised, out)


def _calibration(detector: Detector, dataset: Dataset, pictures: int) -> Iterator[Floats32]:
    records = dataset.split("train")
    chosen = np.unique(np.linspace(0, len(records) - 1, min(pictures, len(records))).round().astype(int))
    for k in chosen:
        yield as_input([detector.prepare(read_rgb(dataset.path(records[k].id)))])
