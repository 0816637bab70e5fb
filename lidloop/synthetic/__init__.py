"""Drawn faces with exact landmarks, pupils and lid heights, and a given degree of ptosis."""

from lidloop.synthetic.geometry import EyeTruth, Pose
from lidloop.synthetic.scene import draw_face, draw_picture
from lidloop.synthetic.truth import FaceTruth, Picture, SceneOptions
from lidloop.synthetic.write import Truth, read_truth, write_faces_folder

__all__ = [
    "EyeTruth",
    "FaceTruth",
    "Picture",
    "Pose",
    "SceneOptions",
    "Truth",
    "draw_face",
    "draw_picture",
    "read_truth",
    "write_faces_folder",
]
