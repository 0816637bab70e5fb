"""Paths that Ultralytics opens unchanged: it unquotes ``%20``, cuts at ``?``, strips ``'``, expands ``*``.

Where a path has such a character, training works in a folder with a plain name and copies the result.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lidloop.errors import TrainingError

_PLAIN: Final = re.compile(r"[\w /.,+=@-]*[\w/.,+=@-]")


def is_plain(path: Path | str) -> bool:
    """True if Ultralytics opens exactly this path."""
    return _PLAIN.fullmatch(str(path)) is not None


@contextmanager
def plain_folder(folder: Path) -> Iterator[Path]:
    """Yield ``folder`` where its path is plain, else a folder with a plain path for its files.

    The same folder gets the same stand-in, since a resumed training looks for its files where it wrote them.
    The stand-in is removed at the end of the block, also after an error.

    Raises:
        TrainingError: where the folder for temporary files has no plain path, or the stand-in is another
            user's.
    """
    if is_plain(folder):
        yield folder
        return
    name = f"lidloop-training-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
    place = Path(tempfile.gettempdir()).resolve() / name
    if not is_plain(place):
        raise TrainingError(
            f"training can work neither in {folder} nor in {place}: their names have characters that "
            "Ultralytics changes; set TMPDIR to a folder with a plain name"
        )
    place.mkdir(mode=0o700, exist_ok=True)
    found = place.lstat()
    if place.is_symlink() or found.st_uid != os.getuid():
        raise TrainingError(f"{place} belongs to another user; set TMPDIR to a folder of your own")
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def plain_file(path: str, folder: Path) -> str:
    """Path of the same file under which Ultralytics finds it: itself, or a copy in ``folder``."""
    if is_plain(path) or not Path(path).is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"weights{Path(path).suffix if is_plain(Path(path).suffix) else '.pt'}"
    shutil.copyfile(path, copy)
    return str(copy)
