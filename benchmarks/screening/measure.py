"""Measure photographed faces as they are and with lids lowered, and drawn faces with ptosis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from benchmarks.common import Progress, no_progress
from benchmarks.measurements.measure import base_face
from benchmarks.screening.lowering import canthal_px_per_mm, lower_lids
from benchmarks.screening.people import Person, is_target, sampled, sharpest_eye
from benchmarks.screening.rows import Row, detect_and_measure
from lidloop.detection.detector import Detector
from lidloop.errors import LidloopError
from lidloop.evaluation.metrics import lid_opening_error, normalised_mean_error
from lidloop.evaluation.skin_tone import typology_angle
from lidloop.eyes_training.face_samples import FaceSpec, random_face
from lidloop.labels import Floats
from lidloop.landmarks import LEFT_EYE, RIGHT_EYE, yaw_proxy
from lidloop.screening.measurements import SIDES, Side

LOWERED_MM: Final = (0.5, 1.0, 1.5, 2.0, 3.0)
SEVERITIES: Final = ("none", "mild", "moderate", "severe")
DRAWN_SEED: Final = 9_500_000
AS_IT_WAS: Final = "as it was"
RANDOM: Final = "any"


def photographed(
    people: list[Person],
    detector: Detector,
    *,
    lowered: int | None,
    seed: int,
    progress: Progress = no_progress,
) -> Iterator[Row]:
    """Measure everybody as they are, and a sample of the targets with lids lowered.

    Args:
        lowered: number of target faces whose lids are lowered by each of ``LOWERED_MM``, on one random
            side and on both; all for None.
        seed: of the sample and the sides.
    """
    sides = np.random.default_rng([seed, 21])
    done = 0
    for k, person in enumerate(sampled(people, None, seed)):
        if k % 50 == 0:
            progress(f"photographs: {k} of {len(people)}, {done} lowered")
        image = person.read()
        sharp = sharpest_eye(image, person.points)
        target = is_target(person.points, sharp)
        score, measured = detect_and_measure(image, person.points, detector)
        facts = {"typology_angle": typology_angle(image, person.points)} | errors_of(measured, person.points)
        about: dict[str, Any] = {
            "name": person.name, "source": person.source, "target": target, "canthal_px": person.canthal_px,
            "yaw": float(yaw_proxy(person.points)), "sharpness": sharp, "facts": facts,
        }  # fmt: skip
        yield Row(
            **about, group=AS_IT_WAS, made_px={}, made_mm={}, low=(), found=measured is not None,
            score=score, measured=measured,
        )  # fmt: skip
        if not target or (lowered is not None and done >= lowered):
            continue
        done += 1
        side: Side = SIDES[int(sides.integers(2))]
        for group, which in (("one side", (side,)), ("both sides", SIDES)):
            for mm in LOWERED_MM:
                by = mm * canthal_px_per_mm(person.points)
                try:
                    made = lower_lids(image, person.points, dict.fromkeys(which, by))
                except LidloopError:
                    continue  # the eye is not open that far
                score, measured = detect_and_measure(made.image, person.points, detector)
                yield Row(
                    **about, group=group, made_px={s: t.px for s, t in made.truth.items()},
                    made_mm=dict.fromkeys(which, mm), low=tuple(which), found=measured is not None,
                    score=score, measured=measured,
                )  # fmt: skip


def errors_of(measured: Mapping[str, Any] | None, points: Floats) -> dict[str, float]:
    """NME and mean lid-opening error of a found face against its known landmarks; empty if not found."""
    if measured is None:
        return {}
    found, true = (np.asarray(p, dtype=np.float64)[None] for p in (measured["points"], points))
    lids = [lid_opening_error(found, true, eye)[0] for eye in (LEFT_EYE, RIGHT_EYE)]
    nme = float(normalised_mean_error(found, true)[0])
    return {"nme": nme, "lid_error": float(np.mean(lids))} if np.isfinite([nme, *lids]).all() else {}


def drawn(
    detector: Detector, *, faces: int, seed: int = DRAWN_SEED, progress: Progress = no_progress
) -> Iterator[Row]:
    """Measure drawn faces: of each degree of ptosis in a good photograph, and any in any (``RANDOM``)."""
    for k, severity in enumerate(SEVERITIES):
        progress(f"drawn faces: {severity}")
        for j in range(faces):
            eye = "left" if j % 2 == 0 else "right"
            yield _drawn(base_face(seed + k * faces + j, severity, eye), severity, detector)
    progress("drawn faces: any")
    for j in range(len(SEVERITIES) * faces):
        yield _drawn(random_face(seed + len(SEVERITIES) * faces + j), RANDOM, detector)


def _drawn(spec: FaceSpec, group: str, detector: Detector) -> Row:
    picture, _, _ = spec.draw()
    truth = picture.faces[0]
    score, measured = detect_and_measure(picture.image, truth.points, detector)
    facts: dict[str, Any] = {
        "degrees": list(spec.ptosis), "glasses": spec.glasses, "yaw": spec.yaw, "pitch": spec.pitch,
        "roll": spec.roll, "blur": spec.blur / spec.canthal_px, "noise": spec.noise,
        "exposure": spec.exposure, "opening": spec.opening, "gaze": float(np.hypot(*spec.gaze)),
        "typology_angle": typology_angle(picture.image, truth.points),
    } | errors_of(measured, truth.points)  # fmt: skip
    low: tuple[Side, ...] = tuple(s for s, degree in zip(SIDES, spec.ptosis, strict=True) if degree > 0)
    return Row(
        name=f"drawn-{spec.seed}", source="drawn", group=group, made_px={}, made_mm={},
        low=() if group == "none" else low, target=group != RANDOM, canthal_px=spec.canthal_px,
        yaw=float(yaw_proxy(truth.points)), sharpness=sharpest_eye(picture.image, truth.points), facts=facts,
        found=measured is not None, score=score, measured=measured,
    )  # fmt: skip
