"""Errors of the eyelid measurements: ``python -m benchmarks --only measurements``.

Drawn faces have exact lids. They are measured by ``measure_face``, from landmarks with errors, or from those
of the demo model. Real faces have lid points that a person set; their distance to the margins found is
measured if ``LIDLOOP_300W`` names the pictures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from benchmarks.common import (
    REAL_FACES,
    Progress,
    Row,
    Skipped,
    at_most,
    no_progress,
    path_from_environment,
)
from benchmarks.measurements.real_lids import REAL_ERROR, quantiles, real_faces, share
from lidloop.eyes.margins import heights_at, margins_from_landmarks
from lidloop.eyes.network import info
from lidloop.eyes_training.face_samples import EYES, FaceSpec, perturb
from lidloop.labels import Face, box_of
from lidloop.landmarks import LEFT_EYE, RIGHT_EYE, Eye, lid_opening, outer_canthal_distance
from lidloop.screening.measurements import FaceMeasurement
from lidloop.screening.ptosis import measure_face
from lidloop.screening.scale import scale_of
from lidloop.synthetic import FaceTruth
from lidloop.synthetic.looks import Light

SEED: Final = 9_000_000
"""First seed of measured faces; training, calibration and its check use smaller ones."""
ERROR: Final = 0.03
"""Mean distance of perturbed landmarks to the true ones, over the outer-canthal distance; 2.4 % by axis."""
TARGET: Final = 0.006
TARGET_MS: Final = 5.0
SEVERITIES: Final = ("none", "mild", "moderate", "severe")
_DEGREES: Final = {"none": (0.0, 0.0), "mild": (0.02, 0.33), "moderate": (0.35, 0.67), "severe": (0.69, 1.0)}

Landmarks = Callable[[Any, FaceTruth, int], Face | None]


@dataclass(frozen=True, slots=True)
class EyeError:
    """Errors of one eye of a drawn face, over the outer-canthal distance; None where withheld.

    ``landmarks_…`` are errors of the landmarks alone: PFH as the mean of the lid pairs against the same of
    the truth, and MRD1 with the true pupil given.
    """

    group: str
    severity: str
    side: str
    method: str
    pfh: float | None
    mrd1: float | None
    mrd2: float | None
    width: float | None
    landmarks_pfh: float
    landmarks_mrd1: float | None
    mm: dict[str, tuple[float, float]]
    """Measured millimetres minus true ones, and the error band, by length."""
    scale: str
    scale_off: dict[str, float]
    """Millimetres per pixel over the true ones, less 1, by source of the scale."""
    withheld: dict[str, str]
    lid_quality: float


def base_face(seed: int, severity: str, side: str) -> FaceSpec:
    """A face in a good photograph: large, nearly frontal, nearly sharp, one lid lowered."""
    rng = np.random.default_rng([seed, 7])
    degree = float(rng.uniform(*_DEGREES[severity]))
    canthal = float(rng.uniform(150, 320))
    direction = (float(rng.normal(0, 0.5)), float(rng.normal(-0.35, 0.3)), float(rng.uniform(0.5, 1.0)))
    return FaceSpec(
        seed=seed,
        canthal_px=canthal,
        ptosis=(degree, 0.0) if side == "left" else (0.0, degree),
        yaw=float(rng.uniform(-10, 10)),
        pitch=float(rng.uniform(-6, 6)),
        roll=float(rng.uniform(-8, 8)),
        gaze=(float(rng.normal(0, 3)), float(rng.normal(0, 2))),
        opening=float(rng.uniform(0.85, 1.15)),
        offset=(float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.5, 0.5))),
        exposure=float(rng.uniform(0.7, 1.2)),
        blur=float(rng.uniform(0, 0.004) * canthal),
        noise=float(rng.uniform(0, 5)),
        light=Light(
            direction=direction, contrast=float(rng.uniform(0.1, 0.7)), gloss=float(rng.uniform(0, 0.3))
        ),
    )


Change = Callable[[FaceSpec, np.random.Generator], FaceSpec]


def sweeps() -> dict[str, list[tuple[str, Change]]]:
    """Groups of each table: a label, and the change of a base face."""

    def ranges(steps: Sequence[tuple[int, int]], unit: str, change: Callable[..., FaceSpec]) -> list[Any]:
        return [
            (f"{a}–{b}{unit}", lambda face, rng, a=a, b=b: change(face, float(rng.uniform(a, b)), rng))
            for a, b in steps
        ]

    def signed(name: str) -> Callable[..., FaceSpec]:
        return lambda face, value, rng: replace(face, **{name: float(value * rng.choice((-1, 1)))})

    return {
        "size": ranges(
            ((60, 80), (80, 110), (110, 150), (150, 220), (220, 320), (320, 450)), " px",
            lambda face, value, rng: replace(face, canthal_px=value, blur=0.0),
        ),
        "roll": ranges(((0, 10), (10, 20), (20, 30)), "°", signed("roll")),
        "yaw": ranges(((0, 7), (7, 14), (14, 21), (21, 30)), "°", signed("yaw")),
        "pitch": ranges(((0, 7), (7, 14), (14, 21)), "°", signed("pitch")),
        "gaze": ranges(
            ((0, 8), (8, 16), (16, 24)), "°",
            lambda face, value, rng: replace(face, gaze=(float(value * rng.choice((-1, 1))), 0.0)),
        ),
        "blur": [
            (f"{share:g} %", lambda face, rng, s=share: replace(face, blur=s / 100 * face.canthal_px))
            for share in (0.0, 0.5, 1.0, 2.0, 3.0, 4.0)
        ],
        "glasses": [
            (name, lambda face, rng, kind=kind: replace(face, glasses=kind))
            for name, kind in (("none", "none"), ("clear", "clear"), ("sunglasses", "sun"))
        ],
    }  # fmt: skip


def perturbed(_: Any, truth: FaceTruth, seed: int) -> Face:
    """A face with the true landmarks plus random errors."""
    points = perturb(truth.points, np.random.default_rng([seed, 8]), ERROR)
    return Face(box_of(points), points)


def errors_of(spec: FaceSpec, group: str, landmarks: Landmarks) -> list[EyeError]:
    """Draw a face, measure it and compare; empty if ``landmarks`` finds no face."""
    picture, _, _ = spec.draw()
    truth = picture.faces[0]
    face = landmarks(picture.image, truth, spec.seed)
    if face is None:
        return []
    measured = measure_face(picture.image, face)
    return [_compare(group, name, eye, truth, face, measured) for name, eye in EYES.items()]


def _compare(
    group: str, name: Any, eye: Eye, truth: FaceTruth, face: Face, measured: FaceMeasurement
) -> EyeError:
    side = "OD" if name == "left" else "OS"
    got, true = measured.eyes[side], truth.eyes[name]
    canthal = float(outer_canthal_distance(truth.points))
    width = float(np.linalg.norm(truth.points[eye.outer, :2] - truth.points[eye.inner, :2]))
    through = got.pupil is not None and "mrd1" in got.lengths
    right = {
        "pfh": true.pfh if through else true.pfh_pairs, "mrd1": true.mrd1, "mrd2": true.mrd2, "width": width,
    }  # fmt: skip

    def off(length: str) -> float | None:
        return abs(got.lengths[length].px - right[length]) / canthal if length in got.lengths else None

    across = face.points[RIGHT_EYE.outer, :2] - face.points[LEFT_EYE.outer, :2]
    down = np.array([-across[1], across[0]]) / np.linalg.norm(across)
    heights = heights_at(margins_from_landmarks(face.points, eye), np.array(truth.pupils[name]), down)
    mm = {
        length: (value.mm - right[length] / truth.px_per_mm, value.mm_error)
        for length, value in got.lengths.items()
        if length in right and value.mm is not None and value.mm_error is not None
    }
    return EyeError(
        group=group, severity=true.severity, side=side, method=got.lid_method,
        pfh=off("pfh"), mrd1=off("mrd1"), mrd2=off("mrd2"), width=off("width"),
        landmarks_pfh=abs(float(lid_opening(face.points, eye)) - true.pfh_pairs) / canthal,
        landmarks_mrd1=None if heights is None else abs(heights[0] - true.mrd1) / canthal,
        mm=mm, scale="none" if measured.scale is None else measured.scale.method,
        scale_off=_scale_off(measured, face, truth),
        withheld={length: reason.code for length, reason in got.withheld.items()},
        lid_quality=got.lid_quality,
    )  # fmt: skip


def _scale_off(measured: FaceMeasurement, face: Face, truth: FaceTruth) -> dict[str, float]:
    """Relative error of the scale used, and of the one from the outer canthi."""
    canthi = scale_of(None, [], float(outer_canthal_distance(face.points)), measured.yaw)
    scales = [scale for scale in (measured.scale, canthi) if scale is not None]
    return {scale.method: scale.mm_per_px * truth.px_per_mm - 1 for scale in scales}


def line(group: str, errors: Sequence[EyeError]) -> dict[str, Any]:
    """One row of a table: shares and quantiles of a group of eyes."""
    reasons: dict[str, int] = {}
    for error in errors:
        if "mrd1" in error.withheld:
            reasons[error.withheld["mrd1"]] = reasons.get(error.withheld["mrd1"], 0) + 1
    return {
        "group": group,
        "eyes": len(errors),
        "pixels": share(error.method == "pixels" for error in errors),
        "withheld_pfh": share("pfh" in error.withheld for error in errors),
        "withheld_mrd1": share("mrd1" in error.withheld for error in errors),
        "reasons": reasons,
        **{name: quantiles([getattr(error, name) for error in errors]) for name in
           ("pfh", "mrd1", "mrd2", "width", "landmarks_pfh", "landmarks_mrd1")},
    }  # fmt: skip


def severity_table(errors: Sequence[EyeError]) -> list[dict[str, Any]]:
    """Rows by degree of ptosis and patient's side, and one of all."""
    lines = []
    for severity in SEVERITIES:
        for side in ("OD", "OS"):
            part = [e for e in errors if e.severity == severity and e.side == side]
            lines.append(line(f"{severity}, {side}", part) | {"severity": severity})
    return [*lines, line("all", errors)]


def band_table(errors: Sequence[EyeError]) -> list[dict[str, Any]]:
    """Share of truths within a length's error band, by source of the scale."""
    rows = []
    for scale in sorted({error.scale for error in errors if error.mm}):
        for length in ("pfh", "mrd1", "width"):
            pairs = [error.mm[length] for error in errors if error.scale == scale and length in error.mm]
            if pairs:
                off, band = np.abs([p[0] for p in pairs]), np.array([p[1] for p in pairs])
                rows.append({
                    "scale": scale, "length": length, "eyes": len(pairs),
                    "median_mm": round(float(np.median(off)), 3),
                    "p90_mm": round(float(np.quantile(off, 0.9)), 3),
                    "band_mm": round(float(np.median(band)), 3),
                    "inside": round(float((off <= band).mean()), 3),
                    "inside_twice": round(float((off <= 2 * band).mean()), 3),
                })  # fmt: skip
    return rows


def scale_table(groups: Mapping[str, Sequence[EyeError]]) -> list[dict[str, Any]]:
    """Errors of the scales themselves in per cent, from one eye of each face."""
    rows = []
    for group, errors in groups.items():
        for method in ("iris", "outer-canthal"):
            off = [error.scale_off[method] for error in errors[::2] if method in error.scale_off]
            rows.append({
                "group": group, "scale": method, "faces": len(off), "off": quantiles([abs(v) for v in off]),
                "mean": round(100 * float(np.mean(off)), 2) if off else None,
            })  # fmt: skip
    return rows


def demo_landmarks() -> Landmarks:
    """Return a function that finds landmarks with the committed demo model: those of its best face.

    Raises:
        Skipped: if torch, which the demo weights need, is not installed.
    """
    try:
        from lidloop.demo import demo_weights
        from lidloop.detection.detector import Detector, torch_network

        detector = Detector(torch_network(demo_weights(), "cpu"), imgsz=256, iteration=0, digest="")
    except ImportError as error:
        raise Skipped("the demo model needs lidloop[train]") from error

    def find(image: Any, _: FaceTruth, __: int) -> Face | None:
        found = detector.detect([image], conf=0.5)[0]
        return found[0] if found else None

    return find


def milliseconds(repeat: int) -> dict[str, float]:
    """Median milliseconds to measure one face, and of the part that finds both eyes in the pixels."""
    from lidloop.eyes.look import look_at

    picture, _, _ = base_face(SEED, "mild", "left").draw()
    face = picture.faces[0].face()
    out = {}
    for name, work in (
        ("face", lambda: measure_face(picture.image, face)),
        ("look", lambda: look_at(picture.image, face.points, list(EYES.values()))),
    ):
        work()
        times = []
        for _ in range(repeat):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        out[name] = round(1000 * float(np.median(times)), 2)
    return out


def run(
    *, faces: int = 100, demo_faces: int = 60, real: int = 400, repeat: int = 200, seed: int = SEED,
    progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Measure drawn faces, and real ones if ``LIDLOOP_300W`` names some.

    Args:
        faces: drawn faces in each group.
        demo_faces: drawn faces measured from the demo model's landmarks.
        real: largest number of real faces.
        repeat: repetitions of the timing.
        seed: first seed of the drawn faces.
    """
    rng = np.random.default_rng([seed, 6])
    plan = [(severity, side) for severity in SEVERITIES for side in ("left", "right")]
    progress("drawn faces by severity")
    base = [
        error
        for k, (severity, side) in enumerate(plan)
        for j in range(faces)
        for error in errors_of(base_face(seed + k * faces + j, severity, side), severity, perturbed)
    ]
    first = seed + len(plan) * faces
    tables = {}
    turned: dict[str, list[EyeError]] = {}
    for name, groups in sweeps().items():
        lines = []
        for label, change in groups:
            progress(f"{name}: {label}")
            errors = []
            for j in range(faces):
                spec = change(base_face(first + j, *plan[j % len(plan)]), rng)
                errors += errors_of(spec, label, perturbed)
            first += faces
            lines.append(line(label, errors))
            if name == "yaw":
                turned[label] = errors
        tables[name] = lines
    progress("landmarks of the demo model")
    try:
        find = demo_landmarks()
        demo = [
            error
            for j in range(demo_faces)
            for error in errors_of(base_face(first + j, *plan[j % len(plan)]), "demo", find)
        ]
    except Skipped:
        demo = []
    try:
        progress("real faces")
        people = real_faces(
            path_from_environment(REAL_FACES, "300W pictures with .pts files"), faces=real, seed=seed
        )
    except Skipped:
        people = None
    return {
        "seed": seed, "faces": faces, "landmark_error": ERROR, "target": TARGET, "target_ms": TARGET_MS,
        "network": info()["sha256"], "severity": severity_table(base), "tables": tables,
        "bands": band_table(base), "scales": scale_table(turned), "demo": [
            *(line(s, [e for e in demo if e.severity == s]) for s in SEVERITIES), line("all", demo),
        ] if demo else [],
        "real": people, "real_landmark_error": REAL_ERROR, "unseen": info()["unseen"],
        "milliseconds": milliseconds(repeat),
    }  # fmt: skip


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Rows of the table of all measurements."""
    out = []
    limit, cost, most = 100 * report["target"], report["milliseconds"]["look"], report["target_ms"]
    for length in ("pfh", "mrd1"):
        worst = max(report["severity"][:-1], key=lambda entry: entry[length][0])
        error, landmarks = worst[length][0], worst[f"landmarks_{length}"][0]
        out.append(
            Row(
                f"{length.upper()} of drawn faces, median error over the outer-canthal distance, worst of "
                f"four degrees and two sides ({worst['group']}); baseline: landmarks alone",
                f"{error:.2f} %", f"{landmarks:.2f} %", f"{error / landmarks:.2f}×",
                *at_most(error, limit, f"{limit:g} %"),
            )
        )  # fmt: skip
    target = at_most(cost, most, f"{most:g} ms")
    return [*out, Row("Finding both eyes of a face in the pixels", f"{cost:.1f} ms", "–", "–", *target)]
