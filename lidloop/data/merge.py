"""Merge a picture and its copies into one image with all its faces; assign splits and ids. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from lidloop.data.convert_report import Report
from lidloop.data.decode import Pixels
from lidloop.data.formats.naming import slug
from lidloop.data.formats.records import Picture, RawFace
from lidloop.data.splits import choose_train
from lidloop.labels import Face, box_iou

SAME_FACE_IOU: Final = 0.5
"""Two annotations of one picture are the same face if the IoU of their boxes is larger.

Annotations of one face by two people differ by a few per cent of its size (LFPW 0708 and 0710: IoU 0.986);
boxes of different faces hardly overlap (AFW: 0)."""


@dataclass(slots=True, eq=False)
class Entry:
    """A picture as one source names it, with its faces in pixels of the picture."""

    spec: str
    picture: Picture
    pixels: Pixels | None = None
    faces: list[tuple[RawFace, Face]] = field(default_factory=list)

    @property
    def order(self) -> tuple[bool, str, str, str]:
        """Sort key: of copies, one that could have labels gives the image its name."""
        return (self.picture.unlabelled, self.picture.source, self.picture.file, self.spec)


@dataclass(slots=True, eq=False)
class Group:
    """A picture and its copies; the first entry is the one whose file is written."""

    hash: str
    entries: list[Entry]
    faces: list[tuple[Entry, RawFace, Face]] = field(default_factory=list)
    split: str = ""
    id: str = ""

    @property
    def first(self) -> Entry:
        return self.entries[0]

    @property
    def unlabelled(self) -> bool:
        """True if it has no face and a source of unlabelled pictures holds it."""
        return not self.faces and any(entry.picture.unlabelled for entry in self.entries)


def merge(entries: Iterable[Entry], report: Report) -> list[Group]:
    """Group entries of equal pixels and unite their faces. A face that is annotated twice is kept once.

    Pictures all of whose annotations were rejected are left out.
    """
    by_hash: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.pixels is not None:
            by_hash[entry.pixels.hash].append(entry)
    groups = []
    for key in sorted(by_hash):
        group = Group(key, by_hash[key])
        for entry in group.entries:
            for raw, face in entry.faces:
                if group.faces:
                    kept = np.stack([f.box for _, _, f in group.faces])
                    iou = box_iou(face.box[None], kept)[0]
                    best = int(iou.argmax())
                    if iou[best] > SAME_FACE_IOU:
                        row = report.row(entry.spec, entry.picture.source)
                        row["duplicate_faces"] += 1
                        row["duplicates"].append(
                            {"file": raw.file, "same_as": group.faces[best][1].file, "iou": float(iou[best])}
                        )
                        continue
                group.faces.append((entry, raw, face))
        # A picture that lost all its labels has faces, so it must not count as one without. One that is also
        # given as unlabelled stays: nothing is claimed of it.
        lost = any(e.picture.rejected for e in group.entries)
        if group.faces or group.unlabelled or not lost:
            groups.append(group)
    return groups


def assign_splits(groups: Iterable[Group], share: float, seed: int, *, keep_splits: bool) -> None:
    """Assign every picture to train or val. Unlabelled pictures go to train and do not count in the share: in
    val, the faces that a model finds on them would count as wrong."""
    free: list[Group] = []
    for group in groups:
        given = {entry.picture.split for entry in group.entries} - {None} if keep_splits else set()
        if group.unlabelled:
            group.split = "train"
        elif given:
            group.split = "val" if "val" in given else "train"
        else:
            free.append(group)
    train = choose_train({g.hash: g.first.picture.source for g in free}, share, seed)
    for group in free:
        group.split = "train" if group.hash in train else "val"


def assign_ids(groups: Sequence[Group]) -> None:
    """Name pictures ``<source>-<stem>``, safe as file names; a name that is taken gets a number."""
    used: set[str] = set()
    for group in sorted(groups, key=lambda g: g.first.order):
        picture = group.first.picture
        base = f"{picture.source}-{slug(picture.path.stem) or 'image'}"[:120]
        name, k = base, 1
        while name.lower() in used:  # two names that differ in case only are one file on some systems
            k += 1
            name = f"{base}-{k}"
        used.add(name.lower())
        group.id = name
