"""Folders of a source, listed once each, and paths found in them although spelled in another way."""

from __future__ import annotations

import errno
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lidloop.data.formats.naming import source_name
from lidloop.data.formats.records import Reject
from lidloop.images import SUFFIXES

_ABSENT: Final = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
"""Errors of a path that leads nowhere, as against a folder that is there but cannot be read."""


def same_name(name: str) -> str:
    """The form in which two spellings of a file name are equal: composed Unicode (NFC), case folded."""
    return unicodedata.normalize("NFC", name).casefold()


def relative(path: Path, root: Path) -> str:
    """``path`` as seen from ``root``, with forward slashes."""
    return Path(os.path.relpath(path, root)).as_posix()


def is_picture(name: str) -> bool:
    """True if a file name ends as pictures do that are read."""
    return Path(name).suffix.lower() in SUFFIXES


class Folders:
    """Cached listings of folders. Folders that cannot be read are collected in ``unreadable``.

    Args:
        inside: where given, nothing outside this folder is found: annotations of an object store must not
            name files of this machine.
    """

    def __init__(self, inside: Path | None = None) -> None:
        self.inside = Path(os.path.realpath(inside)) if inside else None
        self.unreadable: dict[Path, str] = {}
        self._listings: dict[str, dict[str, bool]] = {}
        self._spellings: dict[str, dict[str, list[str]]] = {}

    def rejects(self, root: Path) -> list[Reject]:
        """One reject for each folder that could not be read."""
        return [
            Reject(relative(path, root), "unreadable-folder", f"this folder cannot be read: {why}",
                   source_name("", root))
            for path, why in sorted(self.unreadable.items())
        ]  # fmt: skip

    def listing(self, folder: Path) -> dict[str, bool]:
        """Sorted names in a folder without hidden ones; True for a folder. Empty if it cannot be read."""
        key = os.fspath(folder)
        if key not in self._listings:
            found: dict[str, bool] = {}
            try:
                with os.scandir(folder) as entries:
                    found = {
                        e.name: _is_dir(e) for e in entries if not e.name.startswith(".") and _readable(e)
                    }
            except ValueError:  # a path that no file system takes
                pass
            except OSError as error:
                if error.errno not in _ABSENT:
                    self.unreadable[folder] = error.strerror or str(error)
            self._listings[key] = dict(sorted(found.items()))
        return self._listings[key]

    def walk(self, root: Path) -> Iterator[tuple[Path, list[str]]]:
        """Yield every folder under ``root`` with the names of its files, sorted; hidden ones are left out.

        Links to folders are followed; a folder is visited once.
        """
        seen: set[str] = set()
        pending = [root]
        while pending:
            folder = pending.pop()
            real = os.path.realpath(folder)
            if real in seen or not self.allows(folder):
                continue
            seen.add(real)
            names = self.listing(folder)
            yield folder, [name for name, is_dir in names.items() if not is_dir]
            pending += [folder / name for name, is_dir in reversed(names.items()) if is_dir]

    def pictures(self, root: Path) -> Iterator[Path]:
        """Paths of all pictures under ``root``."""
        for folder, files in self.walk(root):
            yield from (folder / name for name in files if is_picture(name))

    def allows(self, path: Path) -> bool:
        """True unless ``path`` leads out of the folder that this view is confined to."""
        if self.inside is None:
            return True
        try:
            return Path(os.path.realpath(path)).is_relative_to(self.inside)
        except (OSError, ValueError):
            return False

    def find(self, path: Path) -> Path | None:
        """The file or folder at ``path``, also if names differ in case or Unicode form; else None.

        An exact spelling goes first. None if several other spellings are there.
        """
        if not self.allows(path):
            return None
        if exists(path):
            return path
        missing: list[str] = []
        base = path
        while base.parent != base and not exists(base):
            missing.append(base.name)
            base = base.parent
        for name in reversed(missing):
            spelled = self._spelled(base).get(same_name(name), [])
            if len(spelled) != 1:
                return None
            base = base / spelled[0]
        return base

    def file(self, path: Path) -> Path | None:
        """``find`` for files only."""
        found = self.find(path)
        return found if found is not None and not _is_folder(found) else None

    def _spelled(self, folder: Path) -> dict[str, list[str]]:
        key = os.fspath(folder)
        if key not in self._spellings:
            spellings: dict[str, list[str]] = {}
            for name in self.listing(folder):
                spellings.setdefault(same_name(name), []).append(name)
            self._spellings[key] = spellings
        return self._spellings[key]


def exists(path: Path) -> bool:
    """True if there is a file or folder at ``path``; False also for a path that no file system takes."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """True if ``path`` is a regular file; False also for a path that no file system takes."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _readable(entry: os.DirEntry[str]) -> bool:
    """False for pipes, sockets and devices: reading one could block for ever."""
    try:
        return entry.is_symlink() or entry.is_file() or entry.is_dir()
    except OSError:
        return True


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
