"""Atomic writes: a file or folder gets its name only when it is complete. Nothing foreign is replaced."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lidloop.errors import OccupiedError

_PREFIX_CHARACTERS: Final = 32  # of a temporary name: a long name and its suffix must stay below 255 bytes


def expand_user(path: str | Path) -> Path:
    """Path with a leading ``~`` or ``~USER`` replaced by that home folder.

    A ``~NAME`` of no user of this machine stays as it is, as in a shell.
    """
    return Path(os.path.expanduser(path))


def absolute_place(place: str) -> str:
    """Path or address as text, a path made absolute and its ``~`` expanded; an address stays as it is."""
    return place if "://" in place else str(expand_user(place).resolve())


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write ``data`` under a temporary name beside ``path`` and rename it into place.

    A file that is there is replaced and passes its permissions on; of a symbolic link the target is replaced.
    Only for files that the program itself made, or that ``refuse_foreign_file`` let pass.

    Raises:
        OccupiedError: for a device, pipe or socket, which the rename would replace by a file.
        OSError: names ``path``, not the temporary file.
    """
    target = Path(os.path.realpath(path))
    _refuse_special_file(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _naming(path):
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:_PREFIX_CHARACTERS]}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data.encode() if isinstance(data, str) else data)
            os.chmod(name, target.stat().st_mode & 0o777 if target.is_file() else 0o644)
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def folder_atomic(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it takes the name ``path`` when the block ends well.

    On an error the temporary folder is removed and what stands at ``path`` stays as it was.

    Args:
        path: folder to write; it must be missing or empty.
        replace: replace the folder at ``path``. Only for one that the caller knows to be its own.

    Raises:
        OccupiedError: where something stands at ``path``; before the block, and after it where something
            appeared meanwhile.
        OSError: names ``path``, not the temporary folder.
    """
    if not (replace and path.is_dir()):
        require_free(path)
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    with _naming(path):
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:_PREFIX_CHARACTERS]}."))
    try:
        yield temporary
        temporary.chmod(0o755)
        with _naming(path):
            if replace and target.exists():
                _swap(temporary, target)
            else:
                _take_name(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def require_free(path: Path) -> None:
    """Check that a folder can be written at ``path``: nothing is there, or an empty folder.

    Raises:
        OccupiedError: for a file, a broken link, or a folder that is not empty.
    """
    if path.is_dir():
        first = next(path.iterdir(), None)
        if first is not None:
            raise OccupiedError(
                f"{path} is not empty ({first.name} is in it) and would be replaced; give a new folder or an "
                "empty one"
            )
    elif os.path.lexists(path):
        raise OccupiedError(f"{path} is there already and is not a folder; give a new folder")


def refuse_foreign_file(path: Path, is_own: Callable[[bytes], bool], *, what: str) -> None:
    """Check that a file may be written at ``path``: nothing is there, or a file that the program made.

    Args:
        path: the file that is to be written.
        is_own: whether the first 64 KiB of a file are the program's own work.
        what: what is to be written, in words such as ``a drawing``.

    Raises:
        OccupiedError: for a folder, a device, pipe or socket, or a file that is not empty and not the
            program's own.
    """
    if path.is_dir():
        raise OccupiedError(f"{path} is a folder; give the name of a file for {what}")
    if not path.exists():
        return
    _refuse_special_file(path)
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if head and not is_own(head):
        raise OccupiedError(
            f"{path} is there already and is not {what} of lidloop, so it is not replaced; give another name"
        )


def _refuse_special_file(path: Path) -> None:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OccupiedError(f"{path} is a device, pipe or socket, not a file; give the name of a file")


def link_or_copy(source: Path, target: Path) -> None:
    """Give ``source`` a second name; copy it where the file system has no hard links.

    Only for files that are never changed in place, which ``write_atomic`` guarantees.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _take_name(temporary: Path, target: Path) -> None:
    """Rename a folder to a name that is free or an empty folder's; the kernel refuses anything else."""
    try:
        os.replace(temporary, target)
    except OSError:
        require_free(target)  # names what appeared there meanwhile
        raise


def _swap(temporary: Path, target: Path) -> None:
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:_PREFIX_CHARACTERS]}.old."))
    try:
        os.replace(target, old / "was")
        try:
            os.replace(temporary, target)
        except OSError:
            os.replace(old / "was", target)
            raise
    except OSError:
        old.rmdir()
        raise
    shutil.rmtree(old)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Raise system errors again with ``path`` as their file name, in place of a temporary name."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
