"""Calibration of the qualities: probability of a small error from features, on drawn eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lidloop.errors import TrainingError
from lidloop.eyes.look import PatchLook, chance, read_patch
from lidloop.eyes.network import answer
from lidloop.eyes.patch import CANTHAL_PATCH_PX, WIDTH, normalise
from lidloop.eyes_training.samples import EyeSample
from lidloop.labels import Floats

TOLERANCE: Final = 0.01
"""A quality is the chance of an error up to this share of the outer-canthal distance."""
_RIDGE: Final = 1e-2


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """Errors of one patch, over the outer-canthal distance; infinite if no eye exists or none was found."""

    pfh: float
    mrd1: float
    pupil: float
    radius: float
    """Relative to the true radius."""


def errors_of(sample: EyeSample, found: PatchLook) -> Errors:
    """Compare a result with the truth; each side's heights run through its own pupil."""
    nothing = Errors(np.inf, np.inf, np.inf, np.inf)
    if found.upper is None or found.lower is None or found.iris is None or not np.isfinite(sample.iris).all():
        return nothing
    x, y, radius = sample.iris
    xs = np.arange(WIDTH)
    seen = np.isfinite(sample.upper)
    if seen.sum() < 2 or not xs[seen][0] < x < xs[seen][-1]:
        return nothing
    upper, lower = (float(np.interp(x, xs[seen], rows[seen])) for rows in (sample.upper, sample.lower))
    px, py = found.iris.centre
    got_upper, got_lower = (
        float(np.interp(px, lid.curve[:, 0], lid.curve[:, 1])) for lid in (found.upper, found.lower)
    )
    return Errors(
        abs((got_lower - got_upper) - (lower - upper)) / CANTHAL_PATCH_PX,
        abs((py - got_upper) - (y - upper)) / CANTHAL_PATCH_PX,
        float(np.hypot(px - x, py - y)) / CANTHAL_PATCH_PX,
        abs(found.iris.radius / radius - 1),
    )


def look_at_samples(samples: Sequence[EyeSample], session: Any = None) -> list[PatchLook]:
    """Results of the network and the fits for patches."""
    found = []
    for start in range(0, len(samples), 64):
        part = samples[start : start + 64]
        said = answer(normalise(np.stack([sample.patch for sample in part])), session)
        found += [read_patch(said, k) for k in range(len(part))]
    return found


def fit_logistic(features: Floats, right: NDArray[np.bool_], steps: int = 40) -> list[float]:
    """Fit a logistic regression by Newton's method with a small ridge penalty: (n, k), (n,) to k weights."""
    scale = np.where(features.std(axis=0) > 0, features.std(axis=0), 1.0)
    x = features / scale
    weights = np.zeros(x.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + _RIDGE * len(x) * 1e-2 * np.eye(len(weights))
        gradient = x.T @ (right - p) - _RIDGE * len(x) * 1e-2 * weights
        weights = weights + np.linalg.solve(hessian, gradient)
    return [float(value) for value in weights / scale]


def calibrate(samples: Sequence[EyeSample], found: Sequence[PatchLook]) -> dict[str, list[float]]:
    """Fit the weights that turn features into qualities: ``lid`` and ``pupil``."""
    errors = [errors_of(sample, look) for sample, look in zip(samples, found, strict=True)]
    out = {}
    for name in ("lid", "pupil"):
        features = [look.lid_features if name == "lid" else look.iris_features for look in found]
        rows = [k for k, values in enumerate(features) if len(values)]
        if not rows:
            raise TrainingError("the network finds no eye in any patch; train it longer")
        wrong_by = [errors[k].pfh if name == "lid" else errors[k].pupil for k in rows]
        out[name] = fit_logistic(np.array([features[k] for k in rows]), np.array(wrong_by) <= TOLERANCE)
    return out


def reliability(qualities: Sequence[float], errors: Sequence[float], bins: int = 5) -> list[dict[str, float]]:
    """Mean quality and share of correct patches by bins of quality."""
    q, e = np.asarray(qualities), np.asarray(errors)
    rows = []
    for low in np.arange(bins) / bins:
        inside = (q >= low) & ((q < low + 1 / bins) | (low + 1 / bins >= 1))
        if inside.any():
            right = float((e[inside] <= TOLERANCE).mean())
            rows.append(
                {
                    "from": float(low),
                    "n": int(inside.sum()),
                    "quality": float(q[inside].mean()),
                    "right": right,
                }
            )
    return rows


def summary(
    samples: Sequence[EyeSample], found: Sequence[PatchLook], weights: dict[str, list[float]]
) -> dict[str, Any]:
    """Errors of a set of patches in per cent of the outer-canthal distance, and reliability of qualities."""
    errors = [errors_of(sample, look) for sample, look in zip(samples, found, strict=True)]
    lid = [chance(look.lid_features, weights["lid"]) for look in found]
    pupil = [chance(look.iris_features, weights["pupil"]) for look in found]
    there = [k for k, sample in enumerate(samples) if np.isfinite(sample.iris).all()]

    def per_cent(name: str) -> dict[str, float]:
        values = np.array([getattr(errors[k], name) for k in there])
        return {
            f"p{q}": round(100 * float(np.quantile(values, q / 100, method="lower")), 3) for q in (50, 90)
        }

    return {
        "patches": len(samples),
        "with_an_eye": len(there),
        **{f"{name}_per_cent": per_cent(name) for name in ("pfh", "mrd1", "pupil", "radius")},
        "lid_reliability": reliability(lid, [e.pfh for e in errors]),
        "pupil_reliability": reliability(pupil, [e.pupil for e in errors]),
    }
