"""Folders of pictures without labels: to be predicted on, and trained on once they have a label."""

from __future__ import annotations

from pathlib import Path

from lidloop.data.formats.folders import Folders, is_picture, relative
from lidloop.data.formats.locate import unread, unread_format
from lidloop.data.formats.naming import source_name
from lidloop.data.formats.records import Picture, Reading, ReadOptions, Reject


def read(root: Path, options: ReadOptions | None = None) -> Reading:
    """Read every picture under a folder. Label files that lie there are not read.

    Pictures in formats that are not read (HEIC, GIF, …) are listed as rejects; so are folders that cannot be
    read.
    """
    options = options or ReadOptions()
    folders = Folders(options.inside)
    reading = Reading()
    for folder, files in folders.walk(root):
        for name in files:
            file = relative(folder / name, root)
            source = source_name(file, root)
            if is_picture(name):
                reading.pictures.append(Picture(folder / name, file, source, unlabelled=True))
            elif unread_format(name):
                problem = unread(name)
                reading.rejects.append(Reject(file, problem.reason, problem.detail, source))
    reading.rejects += folders.rejects(root)
    return reading
