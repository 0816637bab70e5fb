from __future__ import annotations

import numpy as np
import pytest

from lidloop import drawing
from lidloop.labels import HUMAN, Face, box_of
from lidloop.landmarks import GROUPS


def face_at(cx: float, cy: float, size: float, *, origin: int = HUMAN, visibility: int = 2) -> Face:
    """A schematic face whose box is ``size`` pixels wide, centred on (cx, cy)."""
    points = np.zeros((51, 3))
    points[:, 2] = visibility

    def arc(group: str, x0: float, x1: float, y: float, bend: float) -> None:
        indices = list(GROUPS[group])
        t = np.linspace(0, 1, len(indices))
        points[indices, 0] = x0 + (x1 - x0) * t
        points[indices, 1] = y - bend * np.sin(np.pi * t)

    def ring(group: str, x: float, y: float, rx: float, ry: float) -> None:
        indices = list(GROUPS[group])
        t = np.pi + 2 * np.pi * np.arange(len(indices)) / len(indices)
        points[indices, 0] = x + rx * np.cos(t)
        points[indices, 1] = y + ry * np.sin(t)

    arc("left_brow", -0.5, -0.12, -0.38, 0.08)
    arc("right_brow", 0.12, 0.5, -0.38, 0.08)
    points[list(GROUPS["nose_bridge"]), 1] = np.linspace(-0.22, 0.08, 4)
    arc("nose_base", -0.13, 0.13, 0.14, -0.04)
    ring("left_eye", -0.28, -0.22, 0.12, 0.05)
    ring("right_eye", 0.28, -0.22, 0.12, 0.05)
    ring("outer_lip", 0, 0.36, 0.22, 0.1)
    ring("inner_lip", 0, 0.36, 0.15, 0.04)
    points[:, :2] = points[:, :2] * size + (cx, cy)
    return Face(box_of(points), points, origin, 1.0 if origin == HUMAN else 0.9)


def near(image: np.ndarray, colour: tuple[int, int, int], tolerance: int = 60) -> np.ndarray:
    return np.abs(image.astype(int) - colour).max(axis=-1) <= tolerance


@pytest.mark.parametrize("size", [30, 60, 200, 900], ids=lambda s: f"face-of-{s}-px")
def test_every_part_shows_in_its_own_colour_at_any_size(size: int) -> None:
    canvas = np.full((int(size * 1.4), int(size * 1.4), 3), 110, np.uint8)
    drawn = drawing.draw_faces(canvas, [face_at(size * 0.7, size * 0.7, size)], boxes=False)
    distance = {name: np.abs(drawn.astype(int) - rgb).sum(-1) for name, rgb in drawing.PARTS.items()}
    for name in drawing.PARTS:
        assert distance[name].min() < 60, f"{name} cannot be seen on a face of {size} px"


@pytest.mark.parametrize("size", [30, 200, 900])
def test_strokes_do_not_cover_the_face(size: int) -> None:
    canvas = np.full((int(size * 1.4), int(size * 1.4), 3), 110, np.uint8)
    drawn = drawing.draw_faces(canvas, [face_at(size * 0.7, size * 0.7, size)], boxes=False)
    assert (drawn != canvas).any(-1).mean() < 0.25


def test_points_are_drawn_where_they_are() -> None:
    face = face_at(300, 300, 400)
    drawn = drawing.draw_faces(np.zeros((600, 600, 3), np.uint8), [face], boxes=False)
    for group, part in (("left_eye", "eyes"), ("left_brow", "brows"), ("outer_lip", "lips")):
        for k in GROUPS[group]:
            x, y = np.rint(face.points[k, :2]).astype(int)
            assert near(drawn[y : y + 1, x : x + 1], drawing.PARTS[part]).all(), (group, k)


def test_the_input_is_left_alone() -> None:
    canvas = np.full((200, 200, 3), 90, np.uint8)
    drawing.draw_faces(canvas, [face_at(100, 100, 120)], captions=["0.93"])
    assert (canvas == 90).all()


def test_human_and_grown_boxes_differ() -> None:
    canvas = np.full((300, 600, 3), 90, np.uint8)
    faces = [face_at(150, 150, 150), face_at(450, 150, 150, origin=0)]
    drawn = drawing.draw_faces(canvas, faces, landmarks=False)
    human, grown = near(drawn, drawing.HUMAN_COLOUR), near(drawn, drawing.GROWN_COLOUR)
    assert human[:, :300].any()
    assert not human[:, 300:].any()
    assert grown[:, 300:].any()
    assert not grown[:, :300].any()


def test_points_outside_the_picture_are_not_drawn() -> None:
    face = face_at(100, 100, 150, visibility=0)
    canvas = np.full((200, 200, 3), 90, np.uint8)
    assert (drawing.draw_faces(canvas, [face], boxes=False) == canvas).all()


def test_a_hidden_point_is_hollow() -> None:
    seen, hidden = face_at(300, 300, 500), face_at(300, 300, 500, visibility=1)
    canvas = np.full((600, 600, 3), 90, np.uint8)
    ink = [
        near(drawing.draw_faces(canvas, [f], boxes=False), drawing.PARTS["eyes"], 20) for f in (seen, hidden)
    ]
    assert ink[1].sum() < ink[0].sum()


def test_coordinates_far_outside_do_no_harm() -> None:
    face = face_at(100, 100, 150)
    face.points[3, :2] = (1e9, -1e9)
    face.points[4, :2] = np.nan
    drawn = drawing.draw_faces(np.full((200, 200, 3), 90, np.uint8), [face])
    assert drawn.shape == (200, 200, 3)


@pytest.mark.parametrize("at", [(0.0, 0.0), (195.0, 3.0), (-50.0, 500.0)])
def test_a_caption_stays_inside(at: tuple[float, float]) -> None:
    canvas = np.full((200, 200, 3), 90, np.uint8)
    drawing.draw_caption(canvas, "0.93 it 1", at, drawing.GROWN_COLOUR)
    assert near(canvas, drawing.GROWN_COLOUR, 5).sum() > 200


@pytest.mark.parametrize(
    ("image", "captions", "message"),
    [
        (np.zeros((10, 10), np.uint8), None, "uint8 RGB"),
        (np.zeros((10, 10, 3)), None, "uint8 RGB"),
        (np.zeros((10, 10, 3), np.uint8), ["a", "b"], "2 captions for 1 faces"),
    ],
    ids=["grey", "float", "captions"],
)
def test_bad_input(image: np.ndarray, captions: list[str] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        drawing.draw_faces(image, [face_at(5, 5, 8)], captions=captions)


@pytest.mark.parametrize(
    ("box", "size"),
    [((20, 30, 60, 70), 96), ((-30, -10, 40, 60), 64), ((100, 80, 118, 98), 200), ((0, 0, 119, 99), 40)],
    ids=["inside", "over-the-border", "enlarged", "shrunk"],
)
def test_a_crop_moves_pixels_and_coordinates_alike(box: tuple[int, ...], size: int) -> None:
    # Column number in red and row number in green: the pixel itself tells where it came from.
    image = np.zeros((100, 120, 3), np.uint8)
    image[..., 0] = np.arange(120)
    image[..., 1] = np.arange(100)[:, None]
    image[..., 2] = 255
    crop = drawing.crop_box(image, np.array(box, float), size=size)
    assert crop.image.shape == (size, size, 3)
    points = np.array([[x, y] for x in range(3, 117, 9) for y in range(3, 97, 9)], float)
    moved = crop.move(points)
    inside = ((moved >= 1 / crop.scale) & (moved <= size - 1 - 1 / crop.scale)).all(1)
    assert inside.sum() >= 3
    for (x, y), (u, v) in zip(points[inside], np.rint(moved[inside]).astype(int), strict=True):
        assert abs(int(crop.image[v, u, 0]) - x) <= 0.75 / crop.scale + 1
        assert abs(int(crop.image[v, u, 1]) - y) <= 0.75 / crop.scale + 1


def test_a_crop_needs_a_box_with_an_area() -> None:
    for box in ([5, 5, 5, 5], [np.nan, 0, 1, 1]):
        with pytest.raises(ValueError, match="cannot crop"):
            drawing.crop_box(np.zeros((10, 10, 3), np.uint8), np.array(box, float), size=32)


def test_fit_never_enlarges() -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    assert drawing.fit(image, size=100).image.shape == (40, 80, 3)
    small = drawing.fit(image, size=20)
    assert small.image.shape == (10, 20, 3)
    assert small.move(np.array([79.0, 39.0])).tolist() == pytest.approx([19.375, 9.375])
