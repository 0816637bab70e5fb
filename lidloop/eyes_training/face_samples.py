"""Patches of the eyes of drawn faces, cut in the same way as in a measurement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from lidloop.eyes.patch import HEIGHT, WIDTH, cut, frame_of
from lidloop.eyes_training.samples import EyeSample
from lidloop.labels import Floats
from lidloop.landmarks import LEFT_EYE, N_POINTS, RIGHT_EYE, Eye, outer_canthal_distance
from lidloop.synthetic.geometry import Expression, EyeModel, Pose, Side, build
from lidloop.synthetic.looks import Light
from lidloop.synthetic.people import sample_identity
from lidloop.synthetic.scene import draw_face
from lidloop.synthetic.truth import Picture

EYES: Final[dict[Side, Eye]] = {"left": LEFT_EYE, "right": RIGHT_EYE}


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceSpec:
    """Arguments of ``draw_face``, from which the drawn lids are known as curves."""

    seed: int
    canthal_px: float = 200.0
    ptosis: tuple[float, float] = (0.0, 0.0)
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)
    opening: float = 1.0
    offset: tuple[float, float] = (0.0, 0.0)
    glasses: str = "none"
    exposure: float = 1.0
    blur: float = 0.0
    noise: float = 0.0
    light: Light | None = field(default=None)

    def draw(self) -> tuple[Picture, dict[Side, EyeModel], Pose]:
        """Draw the picture; return it with the eyes and the pose that it was drawn with."""
        identity = sample_identity(np.random.default_rng([20240407, self.seed]))
        edge = int(np.ceil(2.3 * self.canthal_px))
        picture = draw_face(
            seed=self.seed, size=(edge, edge), canthal_px=self.canthal_px, ptosis=self.ptosis, yaw=self.yaw,
            pitch=self.pitch, roll=self.roll, gaze=self.gaze, opening=self.opening, offset=self.offset,
            glasses=self.glasses, identity=identity, light=self.light, exposure=self.exposure,
            blur=self.blur, noise=self.noise,
        )  # fmt: skip
        model = build(identity, Expression(gaze=self.gaze, opening=self.opening), self.ptosis)
        return picture, model.eyes, picture.faces[0].pose


def random_face(seed: int) -> FaceSpec:
    """Sample a face as photographed for ptosis, or worse: turned, tilted, blurred, small, with glasses."""
    rng = np.random.default_rng([20240408, seed])
    low = rng.random() < 0.6
    degrees = rng.uniform(0, 1, 2) * (rng.random(2) < (0.75 if low else 0.0))
    canthal = float(np.exp(rng.uniform(np.log(70), np.log(320))))
    worn = rng.random()
    direction = (float(rng.normal(0, 0.6)), float(rng.normal(-0.35, 0.35)), float(rng.uniform(0.35, 1.0)))
    return FaceSpec(
        seed=seed,
        canthal_px=canthal,
        ptosis=(float(degrees[0]), float(degrees[1])),
        yaw=float(rng.normal(0, 9)),
        pitch=float(rng.normal(0, 6)),
        roll=float(rng.normal(0, 7)),
        gaze=(float(rng.normal(0, 6)), float(rng.normal(0, 4))),
        opening=float(rng.uniform(0.0, 0.3) if rng.random() < 0.04 else rng.uniform(0.75, 1.25)),
        offset=(float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.5, 0.5))),
        glasses="sun" if worn < 0.08 else "clear" if worn < 0.3 else "none",
        exposure=float(np.exp(rng.uniform(np.log(0.5), np.log(1.3)))),
        blur=float(rng.uniform(0, 0.012) * canthal) if rng.random() < 0.7 else 0.0,
        noise=float(rng.uniform(0, 7)),
        light=Light(
            direction=direction, contrast=float(rng.uniform(0.1, 0.85)), gloss=float(rng.uniform(0, 0.4))
        ),
    )


def perturb(points: Floats, rng: np.random.Generator, error: float) -> Floats:
    """Add random errors to landmarks (51, 3), as a detector makes them.

    The mean error is ``error`` times the outer-canthal distance; half of its variance is common to the points
    of one part of the face, such as an eye.
    """
    canthal = float(outer_canthal_distance(points))
    sigma = error * canthal / np.sqrt(np.pi / 2)
    out = points.copy()
    own = rng.normal(0, sigma * np.sqrt(0.5), (N_POINTS, 2))
    shared = rng.normal(0, sigma * np.sqrt(0.5), (5, 2))
    part = np.repeat(np.arange(5), (10, 9, 6, 6, 20))
    out[:, :2] += own + shared[part]
    return out


def eye_samples(spec: FaceSpec, *, error: float) -> list[EyeSample]:
    """Draw a face and cut patches of both eyes by landmarks with errors."""
    rng = np.random.default_rng([20240409, spec.seed])
    picture, eyes, pose = spec.draw()
    truth = picture.faces[0]
    points = perturb(truth.points, rng, error)
    samples = []
    for side, eye in EYES.items():
        frame = frame_of(points, eye)
        model = eyes[side]
        a = model.length * np.linspace(1, 0, 257)
        curves = [
            frame.to_patch(pose.project(model.at(a, model.margin(a, upper=up)[0]))) for up in (True, False)
        ]
        xs = np.arange(WIDTH, dtype=np.float64)
        upper, lower = (_function_of_x(xs, curve) for curve in curves)
        pupil = frame.to_patch(np.array(truth.pupils[side]))
        radius = truth.iris_radius / frame.scale
        samples.append(
            EyeSample(
                cut(picture.image, frame), upper, lower, curves[0][[0, -1]], np.array([*pupil, radius]),
                float(spec.glasses != "sun"),
            )
        )  # fmt: skip
    return samples


def _function_of_x(xs: Floats, curve: Floats) -> Floats:
    order = np.argsort(curve[:, 0], kind="stable")
    rows: Floats = np.interp(xs, curve[order, 0], curve[order, 1], left=np.nan, right=np.nan)
    rows[(rows < -HEIGHT) | (rows > 2 * HEIGHT)] = np.nan
    return rows
