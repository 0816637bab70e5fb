"""Ground truth of drawn pictures, and the options to draw them with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lidloop.labels import Face, box_of
from lidloop.synthetic.geometry import EyeTruth, FaceModel, Floats, Pose, Side, eye_truth


@dataclass(frozen=True, eq=False)
class FaceTruth:
    """One drawn face. ``left`` and ``right`` are the picture's sides; pixels of the picture, first one at 0.

    Attributes:
        points: (51, 3) x, y and visibility: 2 visible, 1 covered, 0 outside the picture. Unlike in a
            label, a point outside keeps its true position.
        pupils: (x, y) of each pupil centre, where the corneal light reflex is drawn; also when covered.
        iris_radius: pixels, before foreshortening.
        eyes: lid heights and ptosis of each eye.
        pose: yaw, pitch, roll in degrees, scale in px/mm and the pixel between the inner canthi.
        glasses: ``none``, ``clear`` or ``sun``.
        occluder: object in front of it: ``none``, ``mask``, ``hand``, ``object``, ``scarf`` or ``face``.
    """

    points: Floats
    pupils: dict[Side, tuple[float, float]]
    iris_radius: float
    eyes: dict[Side, EyeTruth]
    pose: Pose
    glasses: str = "none"
    occluder: str = "none"

    @property
    def occluded(self) -> NDArray[np.bool_]:
        """(51,) True for points inside the picture that are covered."""
        hidden: NDArray[np.bool_] = self.points[:, 2] == 1
        return hidden

    @property
    def ptosis(self) -> dict[Side, float]:
        """Degree 0…1 of each eye."""
        return {side: eye.ptosis for side, eye in self.eyes.items()}

    @property
    def px_per_mm(self) -> float:
        return self.pose.scale

    def face(self) -> Face:
        """The face as a human label; points outside the picture are 0 0 0, the box bounds the others."""
        points = np.where(self.points[:, 2:] > 0, self.points, 0.0)
        return Face(box_of(points), points)

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values, pixels rounded to four decimals."""
        return {
            "points": np.round(self.points, 4).tolist(),
            "pupils": {side: [round(v, 4) for v in xy] for side, xy in self.pupils.items()},
            "iris_radius": round(self.iris_radius, 4),
            "eyes": {side: asdict(eye) for side, eye in self.eyes.items()},
            "pose": asdict(self.pose),
            "glasses": self.glasses,
            "occluder": self.occluder,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FaceTruth:
        """Inverse of ``to_json``."""
        pose = dict(value["pose"])
        return cls(
            points=np.array(value["points"], dtype=np.float64),
            pupils={side: (xy[0], xy[1]) for side, xy in value["pupils"].items()},
            iris_radius=value["iris_radius"],
            eyes={side: EyeTruth(**eye) for side, eye in value["eyes"].items()},
            pose=Pose(**(pose | {"origin": tuple(pose["origin"])})),
            glasses=value["glasses"],
            occluder=value["occluder"],
        )


def truth_of(model: FaceModel, pose: Pose) -> FaceTruth:
    """Project a face; every point is marked as visible."""
    from lidloop.landmarks import LEFT_EYE, RIGHT_EYE, lid_opening

    xy = pose.project(model.points)
    points = np.concatenate([xy, np.full((len(xy), 1), 2.0)], axis=1)
    eyes: dict[Side, EyeTruth] = {}
    pupils: dict[Side, tuple[float, float]] = {}
    for side, eye in model.eyes.items():
        pairs = float(lid_opening(points, LEFT_EYE if side == "left" else RIGHT_EYE))
        eyes[side] = eye_truth(eye, pose, pairs)
        x, y = pose.project(eye.at(np.array(eye.pupil[0]), np.array(eye.pupil[1])))
        pupils[side] = (float(x), float(y))
    return FaceTruth(points, pupils, model.identity.iris / 2 * pose.scale, eyes, pose)


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn picture: (h, w, 3) uint8 RGB, its faces from back to front, and its JPEG quality."""

    image: NDArray[np.uint8]
    faces: list[FaceTruth]
    jpeg_quality: int = 92


Range = tuple[float, float]


@dataclass(frozen=True)
class SceneOptions:
    """Distributions that ``draw_picture`` samples. Ranges are (lowest, highest); chances are 0…1.

    Attributes:
        faces: number of faces wanted; fewer are drawn when no room is found for one.
        face_px: longer side of a face's landmark box in pixels, log-uniform; at most 85 % of the picture.
        yaw, pitch, roll: degrees.
        ptosis: chance of a face to have it; ``bilateral`` of those have it on both sides.
        ptosis_degree: range of the degree, 1 being a lid lowered by one iris radius.
        opening: factor on the lids' natural opening; ``blink`` is the chance of closed eyes.
        gaze: largest gaze angle in degrees.
        glasses, sunglasses, mask, hand, clutter: chances per face; ``clutter`` is any other occluder.
        border_cut: chance of a face to be cut by the picture's border.
        exposure: factor on brightness; ``contrast`` of lit to shaded side; ``tint`` of the light's colour.
        background: spread of background detail; ``distractors`` the most things that look round like a face.
        blur: sigma in pixels; ``motion`` the chance of motion blur; ``noise`` sigma in grey levels.
        jpeg: quality range.
        grey: chance of a picture without colour.
        style: ``photo`` varies faces, expressions, hair, light, backgrounds and cameras as snapshots do, and
            places the points as annotators of photographs place them (``lidloop.synthetic.photo``).
    """

    faces: tuple[int, int] = (1, 5)
    face_px: Range = (40.0, 300.0)
    yaw: Range = (-38.0, 38.0)
    pitch: Range = (-18.0, 18.0)
    roll: Range = (-25.0, 25.0)
    ptosis: float = 0.3
    bilateral: float = 0.25
    ptosis_degree: Range = (0.1, 1.0)
    opening: Range = (0.8, 1.2)
    blink: float = 0.04
    gaze: float = 18.0
    glasses: float = 0.18
    sunglasses: float = 0.04
    mask: float = 0.04
    hand: float = 0.06
    clutter: float = 0.06
    border_cut: float = 0.08
    exposure: Range = (0.55, 1.25)
    contrast: Range = (0.15, 0.85)
    tint: float = 0.12
    background: float = 1.0
    distractors: int = 4
    blur: Range = (0.0, 1.0)
    motion: float = 0.06
    noise: Range = (0.0, 7.0)
    jpeg: tuple[int, int] = (60, 96)
    grey: float = 0.06
    beard: float = 0.22
    hat: float = 0.1
    style: Literal["plain", "photo"] = "plain"

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"SceneOptions.{item.name}: {value[0]} is above {value[1]}")
        if self.faces[0] < 0 or self.face_px[0] < 8:
            raise ValueError("SceneOptions: faces must be 0 or more, face_px 8 or more")
