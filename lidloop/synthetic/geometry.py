"""Exact geometry of drawn faces: an average head in millimetres, its variations, lids and projection.

Face frame: millimetres, origin half-way between the inner canthi, x to the picture's right, y down,
z towards the viewer, for a face that looks straight at the camera. The figures of the average face are
this project's own round numbers: 90 mm between the outer canthi, an iris 11.7 mm wide, lid heights as in
``Identity``.

Each eye lies in a plane through its inner canthus: ``a`` runs to the outer canthus, ``b`` runs down along
the face's own vertical. Both lid margins are functions ``b(a)``, so lid heights are exact, and under the
scaled orthographic projection used here the plane maps affinely to pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from lidloop.landmarks import FLIP, LEFT_EYE, N_POINTS, RIGHT_EYE

Floats = NDArray[np.float64]
Side = Literal["left", "right"]
SIDES: Final[tuple[Side, Side]] = ("left", "right")

IRIS_MM: Final = 11.7
DROP_AT_FULL_PTOSIS_MM: Final = IRIS_MM / 2
"""Drop of the upper lid at ptosis of degree 1: one iris radius."""
MILD_MM: Final = 2.0
MODERATE_MM: Final = 4.0
MIN_OPENING_MM: Final = 0.4
"""Smallest distance of the lids, so that the margins do not cross."""
_PUPIL_HEIGHT_MM: Final = 2.6  # above the inner canthus, gaze straight ahead
_EYEBALL_MM: Final = 11.5
_OUTWARD = np.deg2rad(17.0)  # turn of an eye's plane towards the temple

_HALF = np.array(
    # The picture's left half and the midline, frontal: x, y, z. Eyes come from their lid curves.
    [
        [-55, -15, -13], [-47.5, -21.5, -5], [-37.5, -24.5, 2], [-26, -23.5, 6], [-14.5, -19.5, 8],
        *[[0, 0, 0]] * 5,
        [0, -3, 9], [0, 9, 15], [0, 21, 21], [0, 33.5, 27.5],
        [-12.5, 43.5, 11], [-6.5, 46.5, 16], [0, 48.5, 19], [0, 0, 0], [0, 0, 0],
        *[[0, 0, 0]] * 12,
        [-25, 72, 4], [-15.5, 67.8, 12], [-5.5, 64.8, 16.5], [0, 66.2, 17], *[[0, 0, 0]] * 5,
        [0, 82.5, 15.5], [-7.5, 81.4, 14.5], [-16, 77.8, 11],
        [-21.5, 72, 6], [-8, 71.2, 13.5], [0, 71.6, 14.5], *[[0, 0, 0]] * 3,
        [0, 72.2, 14], [-8, 72.0, 13],
    ],
    dtype=np.float64,
)  # fmt: skip


def _average() -> Floats:
    points = _HALF.copy()
    mirrored = points[list(FLIP)] * (-1, 1, 1)
    empty = (points == 0).all(axis=1)
    points[empty] = mirrored[empty]
    return points


AVERAGE: Final[Floats] = _average()
"""(51, 3) average face; the rows of the eyes are zero."""


@dataclass(frozen=True)
class Identity:
    """Face shape of a person. Lengths in mm, factors around 1."""

    inner_half: float = 16.0
    """Half the distance between the inner canthi."""
    fissure: float = 29.0
    """Horizontal width of an eye as seen from the front."""
    tilt: float = 2.0
    """Height of the outer canthus above the inner one."""
    mrd1: float = 4.0
    mrd2: float = 5.1
    lid_shape: tuple[float, float, float, float] = (0.72, 0.80, 0.82, 0.72)
    """Exponents (inner, outer) of the upper and of the lower margin; 0.5 is an ellipse, 1 a parabola."""
    iris: float = IRIS_MM
    crease: float = 3.6
    """Distance of the lid crease above the margin."""
    brow_height: float = 0.0
    brow_arch: float = 1.0
    brow_width: float = 1.0
    nose_length: float = 1.0
    nose_width: float = 1.0
    nose_depth: float = 1.0
    mouth_width: float = 1.0
    mouth_drop: float = 0.0
    upper_lip: float = 1.0
    lower_lip: float = 1.0
    face_width: float = 1.0
    jaw_width: float = 1.0
    chin: float = 0.0
    asymmetry: float = 0.0
    """Height in mm of the right half of brow and mouth above the left half."""
    brow_inner: float = 0.0
    """Shift of a brow's inner end towards the midline; ``brow_outer`` of its outer end towards the temple."""
    brow_outer: float = 0.0
    brow_slope: float = 0.0
    """Height of a brow's outer end above its inner end."""
    canthi: tuple[float, float] = (0.0, 0.0)
    """Distance of the inner and the outer canthus' point from the corner, towards the middle of the eye."""
    corner_gap: float = 0.0
    """Distance by which the mouth's outer corners lie farther out than in the average face."""


@dataclass(frozen=True)
class Expression:
    """Expression of a face.

    Attributes:
        gaze: (right, down) in degrees relative to the head.
        opening: factor on the opening of the lids.
        teeth: height in mm by which the raised upper lip shows the upper teeth.
        skew: difference in height of the two corners of the mouth in mm.
    """

    mouth_open: float = 0.0
    smile: float = 0.0
    brow_raise: tuple[float, float] = (0.0, 0.0)
    opening: float = 1.0
    gaze: tuple[float, float] = (0.0, 0.0)
    teeth: float = 0.0
    skew: float = 0.0


@lru_cache(maxsize=64)
def _rotation(yaw: float, pitch: float, roll: float) -> Floats:
    y, p, r = np.deg2rad([yaw, pitch, roll])
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    lean = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    rotation: Floats = lean @ nod @ turn
    rotation.setflags(write=False)
    return rotation


@dataclass(frozen=True)
class Pose:
    """Head pose in degrees, scale in px/mm and the pixel of the face frame's origin.

    Positive yaw turns the face to the picture's right, positive pitch up, positive roll clockwise.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    scale: float = 1.0
    origin: tuple[float, float] = (0.0, 0.0)

    @property
    def rotation(self) -> Floats:
        """(3, 3) matrix from the face frame to the picture's axes (x right, y down, z to the viewer)."""
        return _rotation(self.yaw, self.pitch, self.roll)

    @property
    def body(self) -> Pose:
        """Pose of neck and shoulders under this head."""
        return replace(self, yaw=0.25 * self.yaw, pitch=0.0, roll=0.3 * self.roll)

    def project(self, points: Floats) -> Floats:
        """Scaled orthographic projection: (..., 3) mm to (..., 2) pixels."""
        out: Floats = np.asarray(points) @ (self.scale * self.rotation[:2]).T + self.origin
        return out


def lid_arch(t: Floats, p: float, q: float) -> Floats:
    """Height of a lid margin over the line between the canthi: 0 at both ends, 1 at the peak.

    Args:
        t: shares of the way between the canthi, 0 < t < 1.
        p: exponent at the end where t is 0; 0.5 is an ellipse, 1 a parabola.
        q: exponent at the other end.
    """
    peak = p / (p + q)
    out: Floats = (t / peak) ** p * ((1 - t) / (1 - peak)) ** q
    return out


@dataclass(frozen=True)
class EyeModel:
    """One eye in its plane. Lid heights and positions in mm; the module defines ``a`` and ``b``."""

    side: Side
    corner: Floats
    """(3,) inner canthus in the face frame."""
    plane: Floats
    """(3, 2) directions of ``a`` and ``b`` in the face frame."""
    length: float
    tilt: float
    upper: float
    lower: float
    shape: tuple[float, float, float, float]
    pupil: tuple[float, float]
    iris_axes: Floats
    """(3, 2) orthonormal axes of the iris disc in the face frame."""
    iris: float
    ptosis: float
    drop: float
    crease: float

    def margin(self, a: Floats, *, upper: bool) -> tuple[Floats, Floats]:
        """Height ``b`` of a lid margin at ``a`` and its slope db/da; beyond the canthi, their level."""
        p, q = self.shape[:2] if upper else self.shape[2:]
        height = -self.upper if upper else self.lower
        t = np.clip(a / self.length, 1e-6, 1 - 1e-6)
        g = lid_arch(t, p, q)
        slope = g * (p / t - q / (1 - t))
        return -self.tilt * a / self.length + height * g, (height * slope - self.tilt) / self.length

    def at(self, a: Floats, b: Floats) -> Floats:
        """Points of the eye's plane in the face frame: (n,), (n,) to (n, 3)."""
        points: Floats = self.corner + np.stack([a, b], axis=-1) @ self.plane.T
        return points

    def thirds(self, *, upper: bool) -> Floats:
        """(2, 3) points at one and two thirds of a margin's arc length, counted from the inner canthus."""
        a = self.length * (0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 129)))
        b = self.margin(a, upper=upper)[0]
        b[0], b[-1] = 0.0, -self.tilt
        arc = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(a), np.diff(b)))])
        at = np.interp(arc[-1] * np.array([1 / 3, 2 / 3]), arc, a)
        return self.at(at, self.margin(at, upper=upper)[0])

    @property
    def mrd1(self) -> float:
        """Distance from the pupil centre up to the upper margin along ``b``; negative if covered."""
        return self.pupil[1] - float(self.margin(np.array(self.pupil[0]), upper=True)[0])

    @property
    def mrd2(self) -> float:
        """Distance from the pupil centre down to the lower margin along ``b``."""
        return float(self.margin(np.array(self.pupil[0]), upper=False)[0]) - self.pupil[1]


def _eye(side: Side, who: Identity, how: Expression, ptosis: float) -> EyeModel:
    sign = -1.0 if side == "left" else 1.0
    plane = np.array([[sign * np.cos(_OUTWARD), 0.0], [0.0, 1.0], [-np.sin(_OUTWARD), 0.0]])
    length = who.fissure / np.cos(_OUTWARD)
    right, down = np.deg2rad(how.gaze)
    rest = (0.52 * length, -_PUPIL_HEIGHT_MM)
    pupil = (rest[0] + sign * _EYEBALL_MM * np.sin(right), rest[1] + _EYEBALL_MM * np.sin(down))
    forward = np.array([np.sin(right) * np.cos(down), np.sin(down), np.cos(right) * np.cos(down)])
    across = np.array([np.cos(right), 0.0, -np.sin(right)])
    eye = EyeModel(
        side=side,
        corner=np.array([sign * who.inner_half, 0.0, -6.0]),
        plane=plane,
        length=length,
        tilt=who.tilt,
        upper=1.0,
        lower=1.0,
        shape=who.lid_shape,
        pupil=pupil,
        iris_axes=np.stack([across, np.cross(forward, across)], axis=-1),
        iris=who.iris / 2,
        ptosis=ptosis,
        drop=0.0,
        crease=who.crease,
    )

    flat = eye  # both heights 1 mm

    def unit(a: float, upper: bool) -> float:
        """Displacement of the margin at ``a`` for 1 mm of lid height."""
        line = -who.tilt * a / length
        return float(abs(flat.margin(np.array(a), upper=upper)[0] - line))

    # Heights are set at the resting pupil; lids follow a lowered or raised gaze in part.
    line = -who.tilt * rest[0] / length
    follow = 0.7 * (pupil[1] - rest[1])
    top = (who.mrd1 + who.mrd2) * how.opening - who.mrd2
    upper = (line - rest[1] + top - follow) / unit(rest[0], True)
    lower = (rest[1] + who.mrd2 + 0.4 * follow - line) / unit(rest[0], False)
    eye = replace(eye, upper=upper, lower=lower)
    opening = eye.mrd1 + eye.mrd2
    if opening < MIN_OPENING_MM:
        eye = replace(eye, upper=eye.upper + (MIN_OPENING_MM - opening) / unit(pupil[0], True))
        opening = MIN_OPENING_MM
    drop = min(ptosis * DROP_AT_FULL_PTOSIS_MM, opening - MIN_OPENING_MM)
    return replace(eye, upper=eye.upper - drop / unit(pupil[0], True), drop=drop)


@dataclass(frozen=True)
class FaceModel:
    """A face before projection: (51, 3) points in the face frame, and both eyes."""

    identity: Identity
    expression: Expression
    points: Floats
    eyes: dict[Side, EyeModel]


def build(identity: Identity, expression: Expression, ptosis: tuple[float, float] = (0.0, 0.0)) -> FaceModel:
    """Build a face by deforming the average face.

    Args:
        ptosis: degree 0…1 of the eye at the picture's left and right. Degree 1 lowers the upper lid by
            ``DROP_AT_FULL_PTOSIS_MM`` at the pupil, less where the lids would meet (``EyeModel.drop``).

    Raises:
        ValueError: for a degree outside 0…1.
    """
    if not all(0.0 <= degree <= 1.0 for degree in ptosis):
        raise ValueError(f"degrees of ptosis must lie in 0…1, got {ptosis}")
    who, how = identity, expression
    p = AVERAGE.copy()
    spread = (who.inner_half + who.fissure) / 45.0
    for k, rows in enumerate((range(0, 5), range(5, 10))):
        brow = p[rows]
        share = (np.abs(brow[:, 0]) - 14.5) / 40.5  # 0 at the inner end, 1 at the outer
        brow[:, 0] *= spread
        brow[:, 0] += np.sign(brow[:, 0]) * (who.brow_outer * share - who.brow_inner * (1 - share))
        middle = -19.5 + (brow[:, 1] + 19.5) * who.brow_arch
        brow[:, 1] = middle - who.brow_height - how.brow_raise[k] - who.brow_slope * (share - 0.5)
        p[rows] = brow
    nose = p[10:19]
    nose[:, 1] *= who.nose_length
    nose[:, 2] = 6 + (nose[:, 2] - 6) * who.nose_depth
    nose[4:, 0] *= who.nose_width
    lips = p[31:51]
    shift = who.mouth_drop + 45 * (who.nose_length - 1)
    seam = 71.8
    inner_upper = np.array([43, 44, 45, 46, 47]) - 31
    is_upper = np.array([*range(31, 38)]) - 31
    lower_outer = np.array([*range(38, 43)]) - 31
    lower_inner = np.array([48, 49, 50]) - 31
    lips[is_upper, 1] = seam + (lips[is_upper, 1] - seam) * who.upper_lip
    lips[lower_outer, 1] = seam + (lips[lower_outer, 1] - seam) * who.lower_lip + how.mouth_open
    lips[lower_inner, 1] += how.mouth_open
    lips[inner_upper, 1] -= 0.12 * how.mouth_open
    lips[is_upper, 1] -= 0.12 * how.mouth_open
    lips[[0, 6, 12, 16], 1] += 0.35 * how.mouth_open
    lips[1:6, 1] -= 0.8 * how.teeth
    lips[13:16, 1] -= how.teeth
    lips[[7, 8, 9, 10, 11, 17, 18, 19], 1] += 0.15 * how.teeth
    lips[[0, 6], 0] += np.array([-1.0, 1.0]) * who.corner_gap
    lips[:, 0] *= who.mouth_width * (1 + 0.13 * how.smile - 0.012 * how.mouth_open)
    lips[:, 1] -= how.smile * 4.0 * (np.abs(lips[:, 0]) / 25.0) ** 2
    lips[:, 1] += shift + how.skew * np.clip(lips[:, 0] / 50.0, -0.6, 0.6)
    p[10:19], p[31:51] = nose, lips
    lean = np.clip(p[:, 0] / 45.0, -1.2, 1.2) * who.asymmetry
    lean[10:31] = 0.0
    p[:, 1] -= lean / 2
    eyes: dict[Side, EyeModel] = {
        side: _eye(side, who, how, degree) for side, degree in zip(SIDES, ptosis, strict=True)
    }
    for side, eye in (("left", LEFT_EYE), ("right", RIGHT_EYE)):
        model = eyes[side]  # type: ignore[index]
        p[eye.inner] = model.corner
        p[eye.outer] = model.at(np.array(model.length), np.array(-model.tilt))
        if any(who.canthi):
            a = np.array([who.canthi[0], model.length - who.canthi[1]])
            middle = (model.margin(a, upper=True)[0] + model.margin(a, upper=False)[0]) / 2
            p[[eye.inner, eye.outer]] = model.at(a, middle)
        inner_pair = sorted(eye.lid_pairs, key=lambda pair: abs(pair[0] - eye.inner))
        for (upper, lower), above, below in zip(
            inner_pair, model.thirds(upper=True), model.thirds(upper=False), strict=True
        ):
            p[upper], p[lower] = above, below
    if p.shape != (N_POINTS, 3):
        raise AssertionError("the average face must have 51 points")
    return FaceModel(who, how, p, eyes)


@dataclass(frozen=True)
class EyeTruth:
    """Lid heights of one eye in pixels, along the face's own vertical through the pupil centre.

    Attributes:
        mrd1: pupil centre (the corneal light reflex) to the upper margin; negative when the lid covers it.
        mrd2: pupil centre to the lower margin.
        pfh: opening through the pupil; ``mrd1 + mrd2`` exactly.
        pfh_pairs: mean length of the two lid landmark pairs, as ``landmarks.lid_opening`` has it: the
            figure to compare landmark predictions with. It differs from ``pfh`` by the lids' curve.
        ptosis: degree 0…1 asked for.
        drop: pixels by which ptosis lowered the upper margin at the pupil.
        severity: ``none``, ``mild`` (drop up to 2 mm), ``moderate`` (up to 4 mm) or ``severe``.
    """

    mrd1: float
    mrd2: float
    pfh: float
    pfh_pairs: float
    ptosis: float
    drop: float
    severity: str


def severity_of(drop_mm: float) -> str:
    """Name of a lid's drop in mm: none, mild (up to 2 mm), moderate (up to 4 mm) or severe."""
    if drop_mm <= 0:
        return "none"
    return "mild" if drop_mm <= MILD_MM else "moderate" if drop_mm <= MODERATE_MM else "severe"


def eye_truth(eye: EyeModel, pose: Pose, pfh_pairs: float) -> EyeTruth:
    """Lid heights of a posed eye in pixels."""
    px = pose.scale * float(np.linalg.norm(pose.rotation[:2] @ eye.plane[:, 1]))
    mrd1, mrd2 = eye.mrd1 * px, eye.mrd2 * px
    return EyeTruth(
        mrd1, mrd2, mrd1 + mrd2, pfh_pairs, eye.ptosis, eye.drop * px, severity_of(eye.drop)
    )  # fmt: skip


@dataclass(frozen=True)
class Solid:
    """An ellipsoid of the head: centre and radii in mm, in the face frame."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]


def head_solids(who: Identity, how: Expression) -> dict[str, Solid]:
    """Ellipsoids whose union is the head, for its outline and its shading."""
    w, j, n = who.face_width, who.jaw_width, who.nose_length
    jaw = who.chin + 0.75 * how.mouth_open + 45 * (n - 1) + who.mouth_drop
    parts: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
        "cranium": ((0, -36, -82), (75 * w, 80, 92)),
        "midface": ((0, 24, -60), (66 * w, 62, 60)),
        "jaw": ((0, 62 + jaw / 2, -54), (53 * j, 50 + jaw / 2, 54)),
        "chin": ((0, 98 + jaw, -14), (20 * j, 16, 17)),
        "mouth": ((0, 72 + who.mouth_drop, -11), (29, 17, 24)),
        "lip_upper": ((0, 68 + who.mouth_drop, 5), (16, 4, 11)),
        "lip_lower": ((0, 78 + who.mouth_drop + how.mouth_open, 4), (14, 4.5, 11)),
        "nose_root": ((0, 1, -1), (6.5, 13, 10)),
        "nose_mid": ((0, 15 * n, 4), (7.5, 14, 11)),
        "nose_low": ((0, 27 * n, 9), (8.5 * who.nose_width, 12, 12)),
        "nose_tip": ((0, 35.5 * n, 15), (9.5 * who.nose_width, 8.5, 12 * who.nose_depth)),
    }
    for s in (-1, 1):
        parts |= {
            f"cheek{s}": ((36 * s * w, 30 - 3 * how.smile, -25), (22, 22, 22 + 3 * how.smile)),
            f"bone{s}": ((50 * s * w, 12, -40), (20, 18, 26)),
            f"ridge{s}": ((27 * s, -17, -13), (27, 10, 17)),
            f"temple{s}": ((47 * s * w, -18, -34), (20, 16, 24)),
            f"ball{s}": ((31 * s, -1, -18), (12.5, 11.5, 13)),
            f"wing{s}": ((9.5 * s * who.nose_width, 41 * n, 8), (5.5, 5.5, 8)),
            f"gonion{s}": ((42 * s * j, 60 + jaw / 2, -62), (15, 22, 24)),
        }
    return {name: Solid(c, r) for name, (c, r) in parts.items()}


def body_solids(who: Identity) -> dict[str, Solid]:
    """Neck and shoulders, which lean with the head only in part (``Pose.body``)."""
    return {
        "neck": Solid((0, 135 + who.chin, -74), (45 * who.jaw_width, 80, 42)),
        "torso": Solid((0, 300 + who.chin, -95), (190, 135, 70)),
    }
