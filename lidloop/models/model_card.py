"""Model card of a bundle, as Markdown: training data, metrics, intended use, limits. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_ROWS: Final = (
    ("faces", "labelled faces", "count"),
    ("matched", "faces found", "count"),
    ("recall", "recall", "percent"),
    ("precision", "precision", "percent"),
    ("box_ap50", "box AP50", "percent"),
    ("box_ap50_95", "box AP50:95", "percent"),
    ("pose_ap50", "pose AP50", "percent"),
    ("pose_ap50_95", "pose AP50:95", "percent"),
    ("mse_px2", "MSE (px²)", "plain"),
    ("nme_mean", "NME by outer canthi, mean", "percent"),
    ("nme_median", "NME, median", "percent"),
    ("nme_auc8", "NME AUC to 8 %", "plain"),
    ("nme_failure8", "NME failure rate at 8 %", "percent"),
    ("lid_error_mean", "lid-opening error over outer-canthal distance, mean", "percent"),
    ("lid_error_median", "lid-opening error, median", "percent"),
)


def render(info: Mapping[str, Any], training: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """Write the card as Markdown.

    Args:
        info: ``bundle.json`` without its ``files``.
        training: ``training.json``.
        evaluation: ``evaluation.json``.
    """
    gold = evaluation.get("gold", {}).get("overall", {})
    paper = evaluation.get("paper", {}).get("overall", {})
    rows = [
        f"| {name} | {_number(gold.get(key), kind)} | {_number(paper.get(key), kind)} |"
        for key, name, kind in _ROWS
    ]
    labels = [
        f"| {split} | {counts.get('human', 0)} | {counts.get('grown', 0)} |"
        for split, counts in info["labels"].items()
    ]
    given = training.get("settings", {})
    settings = ", ".join(
        f"{key} {given[key]}" for key in ("epochs", "imgsz", "batch", "seed") if key in given
    )
    return f"""# {info["name"]}, run {info["run"]}, iteration {info["iteration"]}

A face and facial-landmark detector (YOLOv8n-pose, ONNX, {info["variant"]}, {info["imgsz"]} px). For every
face in a picture it gives a box and {info["n_points"]} landmarks ({info["landmarks"]}: the iBUG-68 scheme
without the jaw), from which eyelid openings are measured. Made {info["created"]} with lidloop
{info["lidloop"]}; parent version: {info["parent"] or "none"}.

## Training data

Dataset `{info["dataset"]}`, label version {info["label_version"]}. Human labels were made by people; grown
labels are predictions of earlier iterations that the loop accepted without human review.

| split | human | grown |
| --- | ---: | ---: |
{chr(10).join(labels)}

Settings: {settings or "see training.json"}.

## Metrics

*gold*: the human validation labels, frozen before the first iteration. *paper*: the validation labels of
this iteration, grown ones included, as in arXiv 2404.05348. Pose AP uses OKS with sigma
{evaluation.get("sigma", "not stated")} for every point. NME and lid-opening error are over matched faces.
For precision, a detected face without a label counts as a false positive.

| | gold | paper |
| --- | ---: | ---: |
{chr(10).join(rows)}

{_variants(info)}## Intended use

Locating landmarks on photographs of faces for research on, and screening support for, blepharoptosis:
palpebral fissure heights and widths, their ratio, and the difference between the sides.

## Limits

- A screening flag is not a diagnosis, and this is not a medical device. A clinician decides.
- MRD1 and MRD2 need the pupil, which is not among the landmarks.
- Millimetres need a scale, which a photograph alone does not contain.
- How errors depend on age, skin, sex, glasses or disease is known only as far as the labels cover it.
- Input that differs from `reference_profile.json` (training faces) is outside the range of this evaluation.

## Licence

AGPL-3.0, which the training framework, Ultralytics, extends to its models. The licence of the training
pictures may restrict use further.
"""


def _variants(info: Mapping[str, Any]) -> str:
    tried = info.get("variants", {}).get("int8")
    if tried is None:
        return ""
    verdict = "accepted: the default variant" if tried["accepted"] else "rejected"
    reasons = "\n".join(f"- {reason}" for reason in tried["reasons"])
    return f"""## INT8

Tried and {verdict}. The metrics above are those of FP32. On gold, from FP32 to INT8:

{reasons}

"""


def _number(value: Any, kind: str) -> str:
    if not isinstance(value, int | float):
        return "–"
    if kind == "percent":
        return f"{100 * value:.2f} %"
    return f"{value:d}" if kind == "count" and isinstance(value, int) else f"{value:.4g}"
