"""Faces of the closed loop: those that the first model is trained on, and those after the shift."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lidloop.synthetic import SceneOptions, write_faces_folder

KNOWN: Final = SceneOptions(
    faces=(1, 3), face_px=(80.0, 220.0), ptosis=0.1, exposure=(0.8, 1.2), yaw=(-25.0, 25.0), border_cut=0.0,
)  # fmt: skip
SHIFTED: Final = SceneOptions(
    faces=(1, 3), face_px=(55.0, 120.0), ptosis=0.85, bilateral=0.6, ptosis_degree=(0.4, 1.0),
    opening=(0.65, 0.95), exposure=(0.3, 0.55), yaw=(-25.0, 25.0), border_cut=0.0,
)  # fmt: skip
"""Darker and smaller faces, more of them with ptosis."""

SEEDS: Final = {"known": 701, "shifted": 702, "traffic-known": 703, "traffic-shifted": 704}


def write_populations(place: Path, *, labelled: int, traffic: int, hide: float) -> dict[str, Path]:
    """Draw four folders: pictures with labels to train on, and others of the same kind that are only sent.

    Args:
        labelled: pictures per population to train on.
        traffic: pictures per population to send.
        hide: share of the labels withheld from the shifted population, as in public data.
    """
    folders = {}
    for name, seed in SEEDS.items():
        options = SHIFTED if name.endswith("shifted") else KNOWN
        folders[name] = write_faces_folder(
            place / name, images=traffic if name.startswith("traffic") else labelled, seed=seed,
            hide=hide if name == "shifted" else 0.0, options=options,
        )  # fmt: skip
    return folders
