"""Random eyes and eyes of drawn faces: exact, repeatable, of the right shape."""

from __future__ import annotations

import numpy as np
import pytest

from lidloop.eyes.patch import HEIGHT, WIDTH
from lidloop.eyes_training.face_samples import FaceSpec, eye_samples, perturb, random_face
from lidloop.eyes_training.samples import degrade, draw_eye
from lidloop.landmarks import LEFT_EYE, lid_opening, outer_canthal_distance
from lidloop.synthetic import draw_face


def test_the_same_seed_draws_the_same_eye() -> None:
    first, second = (draw_eye(np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.patch, second.patch)
    assert np.array_equal(first.upper, second.upper, equal_nan=True)


def test_eyes_are_consistent() -> None:
    samples = [draw_eye(np.random.default_rng(seed)) for seed in range(60)]
    assert all(s.patch.shape == (HEIGHT, WIDTH, 3) and s.patch.dtype == np.uint8 for s in samples)
    there = [s for s in samples if np.isfinite(s.iris).all()]
    assert 0.75 * len(samples) < len(there) < len(samples)  # some show no eye
    for sample in there:
        inside = np.isfinite(sample.upper)
        columns = np.flatnonzero(inside)
        assert sample.canthi[0, 0] <= columns[0] < columns[-1] <= sample.canthi[1, 0]
        assert (sample.upper[inside] <= sample.lower[inside] + 1e-6).all()
        assert 8 < sample.iris[2] < 25
    for sample in samples:
        if not np.isfinite(sample.iris).all():
            assert sample.trust == 0
            assert np.isnan(sample.upper).all()


def test_pixels_inside_the_margins_differ_from_the_skin_beside() -> None:
    """The lower margin of the truth is an edge in the patch."""
    apart = []
    for seed in range(80):
        sample = draw_eye(np.random.default_rng(seed))
        column = 64
        if (
            sample.trust < 1
            or np.isnan(sample.upper[column])
            or sample.lower[column] - sample.upper[column] < 12
        ):
            continue
        grey = sample.patch.astype(float).mean(axis=2)[:, column]
        low = round(float(sample.lower[column]))
        if 6 <= low <= HEIGHT - 7:
            apart.append(abs(grey[low - 6 : low - 2].mean() - grey[low + 3 : low + 7].mean()))
    assert len(apart) > 20
    assert np.median(apart) > 8


@pytest.mark.parametrize("level", [0.0, 255.0])
def test_degrading_black_and_white_patches(level: float) -> None:
    for seed in range(20):
        patch = degrade(np.full((HEIGHT, WIDTH, 3), level), np.random.default_rng(seed))
        assert patch.shape == (HEIGHT, WIDTH, 3)


def test_patches_of_faces_carry_the_truth_of_the_face() -> None:
    """PFH through the pupil, read off the curves in the patch, is the generator's."""
    for seed in range(6):
        spec = FaceSpec(seed=seed, canthal_px=150, ptosis=(0.15 * seed, 0.0), roll=6.0, glasses="none")
        picture, _, _ = spec.draw()
        truth = picture.faces[0]
        for sample, side in zip(eye_samples(spec, error=0.0), ("left", "right"), strict=True):
            x = np.arange(WIDTH)
            heights = [np.interp(sample.iris[0], x, rows) for rows in (sample.upper, sample.lower)]
            scale = 225 / float(outer_canthal_distance(truth.points))
            assert heights[1] - heights[0] == pytest.approx(truth.eyes[side].pfh * scale, abs=0.15)
            assert sample.iris[1] - heights[0] == pytest.approx(truth.eyes[side].mrd1 * scale, abs=0.15)
            assert sample.iris[2] == pytest.approx(truth.iris_radius * scale, rel=1e-6)


def test_random_faces_differ_and_sunglasses_hide_eyes() -> None:
    faces = [random_face(seed) for seed in range(60)]
    assert len({face.canthal_px for face in faces}) == 60
    assert {face.glasses for face in faces} >= {"none", "clear"}
    dark = FaceSpec(seed=1, canthal_px=100, glasses="sun")
    assert [sample.trust for sample in eye_samples(dark, error=0.02)] == [0.0, 0.0]


def test_perturbed_landmarks_have_the_given_mean_error() -> None:
    truth = draw_face(seed=1).faces[0].points
    canthal = float(outer_canthal_distance(truth))
    rng = np.random.default_rng(0)
    tries = [perturb(truth, rng, 0.03) for _ in range(200)]
    off = np.mean([np.linalg.norm(points[:, :2] - truth[:, :2], axis=1).mean() for points in tries]) / canthal
    assert off == pytest.approx(0.03, rel=0.05)
    opening = np.mean([abs(lid_opening(p, LEFT_EYE) - lid_opening(truth, LEFT_EYE)) for p in tries]) / canthal
    assert 0.008 < opening < 0.03
