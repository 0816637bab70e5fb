"""Whole pictures: who is in them, where, in what light, behind what."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from lidloop.synthetic.backdrop import background, distractor, occluder
from lidloop.synthetic.geometry import Expression, FaceModel, Floats, Identity, Pose, build
from lidloop.synthetic.head import body_outline, draw_person, outline
from lidloop.synthetic.looks import Light, Look
from lidloop.synthetic.negatives import bystanders
from lidloop.synthetic.paint import Bytes, grain_tile, mask_of, motion_kernel, one_thread
from lidloop.synthetic.people import sample_expression, sample_identity, sample_look
from lidloop.synthetic.photo import develop, photo_expression, photo_identity, photo_light, photo_look
from lidloop.synthetic.truth import FaceTruth, Picture, SceneOptions, truth_of
from lidloop.synthetic.wear import lenses

_TRIES = 14
_MIN_SEEN = 0.6  # share of a face's points that must stay inside the picture
_LEAST_SEEN = 0.4  # share that an occluder must leave in view
_MAX_BEHIND = 0.25  # share of a face's points that one person in front may cover
_HIDDEN_EYES = 0.6  # lens tint from which the eyes count as hidden


@dataclass(frozen=True)
class _Cast:
    """One face before it is drawn."""

    model: FaceModel
    pose: Pose
    look: Look
    blocks: Bytes
    """Mask of the person at a quarter of the picture's size."""


def _uniform(rng: np.random.Generator, span: tuple[float, float]) -> float:
    return float(rng.uniform(*span))


def _centred(rng: np.random.Generator, span: tuple[float, float]) -> float:
    """A value of the range, its middle more likely than its ends."""
    return span[0] + (span[1] - span[0]) * float(rng.beta(2.2, 2.2))


def _ptosis(rng: np.random.Generator, options: SceneOptions) -> tuple[float, float]:
    if rng.random() >= options.ptosis:
        return 0.0, 0.0
    degree = _uniform(rng, options.ptosis_degree)
    other = _uniform(rng, options.ptosis_degree) if rng.random() < options.bilateral else 0.0
    return (degree, other) if rng.random() < 0.5 else (other, degree)


def _place(
    rng: np.random.Generator, options: SceneOptions, size: tuple[int, int], others: list[_Cast]
) -> _Cast | None:
    """Find room for one more face, smaller at every try."""
    identity = sample_identity(rng)
    ptosis = _ptosis(rng, options)
    expression = sample_expression(rng, options, ptosis)
    if options.style == "photo":
        expression = photo_expression(rng, expression)
        identity = photo_identity(rng, expression)
    model = build(identity, expression, ptosis)
    look = sample_look(rng, options)
    if options.style == "photo":
        look = photo_look(rng, look, expression)
    lowest, highest = options.face_px
    highest = min(highest, 0.85 * min(size))
    lowest = min(lowest, highest)
    wanted = math.exp(rng.uniform(math.log(lowest), math.log(highest)))
    angles = [_centred(rng, span) for span in (options.yaw, options.pitch, options.roll)]
    cut = rng.random() < options.border_cut
    pose = Pose(yaw=angles[0], pitch=angles[1], roll=angles[2])
    flat = pose.project(model.points)
    extent = float(np.ptp(flat, axis=0).max())
    for attempt in range(_TRIES):
        scale = max(wanted * 0.86**attempt, lowest) / extent
        low, high = flat.min(axis=0) * scale, flat.max(axis=0) * scale
        room = np.array(size) - (high - low)
        if cut:
            at = rng.uniform(-0.3, 1.3, 2) * np.array(size) - (high - low) / 2
        else:
            at = rng.uniform(2, np.maximum(room - 3, 2.001))
        posed = replace(pose, scale=scale, origin=(float(at[0] - low[0]), float(at[1] - low[1])))
        xy = posed.project(model.points)
        inside = ((xy >= 0) & (xy <= np.array(size) - 1)).all(axis=1)
        if inside.mean() < (_MIN_SEEN if cut else 1.0) or (cut and inside.all()):
            continue
        larger = [other for other in others if other.pose.scale > posed.scale]
        if any(_covered(other.blocks, xy) > _MAX_BEHIND for other in larger):
            continue
        blocks = _blocks(model, posed, look, size)
        smaller = [other for other in others if other.pose.scale <= posed.scale]
        if all(_covered(blocks, o.pose.project(o.model.points)) <= _MAX_BEHIND for o in smaller):
            return _Cast(model, posed, look, blocks)
    return None


def _blocks(model: FaceModel, pose: Pose, look: Look, size: tuple[int, int]) -> Bytes:
    mask = np.zeros((size[1] // 4 + 1, size[0] // 4 + 1), np.uint8)
    shapes = body_outline(model, pose, look, size[1])
    for points in (outline(model, pose)["skull"], *shapes.values()):
        cv2.fillPoly(mask, [np.round(points / 4).astype(np.int32)], 255)
    return mask


def _covered(blocks: Bytes, xy: Floats) -> float:
    """Share of points (n, 2) that are covered by a person in front."""
    at = np.clip(np.round(xy / 4).astype(int), 0, np.array(blocks.shape[::-1]) - 1)
    return float((blocks[at[:, 1], at[:, 0]] > 0).mean())


def _hide(points: Floats, covers: Bytes) -> Floats:
    """Set visibility 1 for points that a mask (h, w) covers."""
    h, w = covers.shape
    x = np.clip(np.round(points[:, 0]).astype(int), 0, w - 1)
    y = np.clip(np.round(points[:, 1]).astype(int), 0, h - 1)
    out = points.copy()
    out[(points[:, 2] > 0) & (covers[y, x] > 127), 2] = 1
    return out


def _outside(points: Floats, size: tuple[int, int]) -> Floats:
    """Set visibility 0 for points beyond the centres of the outermost pixels."""
    out = points.copy()
    beyond = (points[:, :2] < 0) | (points[:, :2] > np.array(size) - 1)
    out[beyond.any(axis=1), 2] = 0
    return out


def _draw_cast(
    image: Bytes, cast: _Cast, light: Light, rng: np.random.Generator, kind: str, behind: list[FaceTruth]
) -> tuple[FaceTruth, Bytes]:
    """Draw one face; return its truth and the mask of it."""
    size = (image.shape[1], image.shape[0])
    truth = truth_of(cast.model, cast.pose)
    cover = draw_person(image, cast.model, cast.pose, cast.look, light, rng)
    points = _outside(truth.points, size)
    if cast.look.glasses != "none" and cast.look.lens_tint >= _HIDDEN_EYES:
        for lens in lenses(cast.model, cast.pose, cast.look):
            points = _hide(points, mask_of(lens, image.shape[:2]))
    if cast.look.cut == "fringe":
        points = _hide_by_fringe(points, cast)
    if kind != "none":
        for _ in range(6):
            trial = image.copy()
            over = occluder(kind, trial, cast.model, cast.pose, rng, np.array(cast.look.skin))
            hidden = _hide(points, over)
            clear = all((_hide(face.points, over)[:, 2] == 2).mean() >= _LEAST_SEEN for face in behind)
            if clear and (hidden[:, 2] == 2).mean() >= _LEAST_SEEN:
                image[:] = trial
                points, cover = hidden, np.maximum(cover, over)
                break
        else:
            kind = "none"
    return replace(truth, points=points, glasses=cast.look.glasses, occluder=kind), cover


def _hide_by_fringe(points: Floats, cast: _Cast) -> Floats:
    """Set visibility 1 for brow points above the edge of a fringe."""
    out = points.copy()
    edge = -34 - 0.3 * cast.look.hairline
    brows = cast.model.points[:10]
    out[:10, 2] = np.where((brows[:, 1] < edge) & (points[:10, 2] == 2), 1, points[:10, 2])
    return out


def _finish(image: Bytes, rng: np.random.Generator, options: SceneOptions, *, falloff: bool = True) -> Bytes:
    """Apply exposure, uneven light, colour cast, blur and noise."""
    h, w = image.shape[:2]
    gain = math.exp(rng.uniform(math.log(options.exposure[0]), math.log(options.exposure[1])))
    tint = 1 + rng.uniform(-options.tint, options.tint, 3)
    uneven = 1 + rng.uniform(-0.25, 0.25, (3, 3, 1)) * falloff
    field = cv2.resize((gain * tint * uneven).astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
    lit = cv2.multiply(image, field, dtype=cv2.CV_32F)
    sigma = _uniform(rng, options.blur)
    if sigma > 0.25:
        lit = cv2.GaussianBlur(lit, (0, 0), sigma)
    if rng.random() < options.motion:
        kernel = motion_kernel(int(rng.integers(3, 6)), float(rng.uniform(0, np.pi)))
        lit = cv2.filter2D(lit, -1, kernel, borderType=cv2.BORDER_REFLECT)
    if rng.random() < options.grey:
        lit = cv2.merge([lit @ np.array([0.299, 0.587, 0.114], np.float32)] * 3)
    sigma = _uniform(rng, options.noise)
    if sigma > 0.1:
        y, x = (int(v) for v in rng.integers(0, 256, 2))
        tile = grain_tile()
        if h + y <= tile.shape[0] and w + x <= tile.shape[1]:
            grain = tile[y : y + h, x : x + w]
        else:
            grain = rng.standard_normal((h, w, 3), dtype=np.float32)
        cv2.scaleAdd(np.ascontiguousarray(grain), sigma, lit, lit)
    out: Bytes = np.clip(np.round(lit), 0, 255).astype(np.uint8)
    return out


def _light(rng: np.random.Generator, options: SceneOptions) -> Light:
    return Light(
        direction=(float(rng.normal(0, 0.6)), float(rng.normal(-0.35, 0.35)), float(rng.uniform(0.35, 1.0))),
        contrast=_uniform(rng, options.contrast),
        gloss=float(rng.uniform(0.02, 0.4)),
    )


@one_thread()
def draw_picture(
    *, seed: int, size: tuple[int, int] = (480, 360), options: SceneOptions | None = None
) -> Picture:
    """Draw a picture of ``size`` (width, height) with faces; the same arguments give the same bytes.

    Every drawn face is in ``Picture.faces``; at least 60 % of its points are inside the picture, and most
    are uncovered. Faces are drawn and listed from back to front.

    Args:
        seed: any integer from 0.
        options: distributions to sample; ``SceneOptions()`` by default.
    """
    options = options or SceneOptions()
    rng = np.random.default_rng([20240405, seed])
    image = background(rng, size, options.background)
    if options.style == "photo":
        bystanders(image, rng)
    for _ in range(int(rng.integers(0, options.distractors + 1))):
        r = math.exp(rng.uniform(math.log(10), math.log(0.22 * min(size) + 11)))
        distractor(image, rng, rng.uniform((0, 0), size), r)
    casts: list[_Cast] = []
    for _ in range(int(rng.integers(options.faces[0], options.faces[1] + 1))):
        cast = _place(rng, options, size, casts)
        if cast is not None:
            casts.append(cast)
    casts.sort(key=lambda cast: cast.pose.scale)
    light = _light(rng, options)
    photo = options.style == "photo"
    kinds = ("mask", "hand", "object", "scarf", "none")
    chances = np.array([options.mask, options.hand, options.clutter / 2, options.clutter / 2])
    chances = np.append(chances, max(0.0, 1 - chances.sum())) / max(1.0, chances.sum())
    faces: list[FaceTruth] = []
    for cast in casts:
        kind = str(rng.choice(kinds, p=chances))
        lit = photo_light(rng, light) if photo else light
        truth, cover = _draw_cast(image, cast, lit, rng, kind, faces)
        for k, behind in enumerate(faces):
            points = _hide(behind.points, cover)
            if not np.array_equal(points, behind.points):
                name = "face" if behind.occluder == "none" else behind.occluder
                faces[k] = replace(behind, points=points, occluder=name)
        faces.append(truth)
    image = _finish(develop(image, rng) if photo else image, rng, options)
    quality = int(rng.integers(options.jpeg[0], options.jpeg[1] + 1))
    return Picture(image, faces, quality)


@one_thread()
def draw_face(
    *,
    seed: int = 0,
    size: tuple[int, int] = (480, 480),
    canthal_px: float = 200.0,
    ptosis: tuple[float, float] = (0.0, 0.0),
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    gaze: tuple[float, float] = (0.0, 0.0),
    opening: float = 1.0,
    offset: tuple[float, float] = (0.0, 0.0),
    glasses: str = "none",
    identity: Identity | None = None,
    light: Light | None = None,
    exposure: float = 1.0,
    blur: float = 0.0,
    noise: float = 0.0,
) -> Picture:
    """Draw one uncovered face in the middle of a picture with a plain background.

    Args:
        seed: selects the person and the appearance; pose, lids and light are given by the other arguments.
        canthal_px: distance between the outer canthi in pixels before the head turns.
        ptosis: degree 0…1 of the eye at the picture's left and right.
        yaw, pitch, roll: degrees, as in ``Pose``.
        gaze: (right, down) in degrees relative to the head.
        opening: factor on the natural lid opening, on both sides.
        offset: shift of the face in pixels, to place features between pixels.
        glasses: ``none``, ``clear`` or ``sun``.
        identity: face shape in place of the seed's.
        light: light in place of an even one from the front.
        blur, noise: sigmas in pixels and grey levels.

    Raises:
        ValueError: for an unknown kind of glasses or a degree of ptosis outside 0…1.
    """
    if glasses not in ("none", "clear", "sun"):
        raise ValueError(f"glasses must be none, clear or sun, got {glasses!r}")
    rng = np.random.default_rng([20240406, seed])
    person = sample_identity(rng)
    plain = SceneOptions(glasses=0.0, sunglasses=0.0, hat=0.0)
    look = sample_look(rng, plain)
    if look.cut == "fringe":
        look = replace(look, cut="short")
    look = replace(look, glasses=glasses, lens_tint=0.9 if glasses == "sun" else look.lens_tint)
    who = identity or person
    model = build(who, Expression(gaze=gaze, opening=opening), ptosis)
    scale = canthal_px / (2 * (who.inner_half + who.fissure))
    middle = (np.array(size) - 1) / 2 + np.array(offset)
    pose = Pose(yaw, pitch, roll, scale)
    centre = pose.project(np.array([0.0, 26.0, -10.0]))
    origin = middle - centre
    pose = replace(pose, origin=(float(origin[0]), float(origin[1])))
    ground = np.array([168.0, 176, 184]) + rng.uniform(-40, 40, 3)
    image = np.empty((size[1], size[0], 3), np.uint8)
    image[:] = np.round(ground).astype(np.uint8)
    lit = light or Light(direction=(-0.2, -0.4, 1.0), contrast=0.3, gloss=0.12)
    truth, _ = _draw_cast(image, _Cast(model, pose, look, np.zeros((1, 1), np.uint8)), lit, rng, "none", [])
    even = SceneOptions(
        exposure=(exposure, exposure), tint=0.0, blur=(blur, blur), motion=0.0, noise=(noise, noise), grey=0.0
    )
    image = _finish(image, rng, even, falloff=False)
    return Picture(image, [truth], 95)
