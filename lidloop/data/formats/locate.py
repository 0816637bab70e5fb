"""Find the pictures that an annotation file names, however its tool spells their paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from lidloop.data.formats.folders import Folders, exists, relative, same_name
from lidloop.data.formats.naming import given_split, is_generic, source_name, split_of_folder
from lidloop.data.formats.records import Picture, Unusable
from lidloop.data.formats.spellings import as_uploaded, forms, is_absolute, parts_of, without_upload_prefix
from lidloop.data.formats.text import is_data_uri, shown
from lidloop.images import SUFFIXES

LARGEST_INDEX: Final = 1_000_000
"""Pictures that are indexed to find one by its name alone."""

UNREAD_FORMATS: Final[dict[str, str]] = {
    suffix: name
    for name, suffixes in {
        "HEIC": (".heic", ".heif", ".hif"),
        "AVIF": (".avif",),
        "GIF": (".gif",),
        "JPEG XL": (".jxl",),
        "JPEG 2000": (".jp2", ".j2k", ".jpx"),
        "camera raw": (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"),
        "DICOM": (".dcm", ".dicom"),
        "PDF": (".pdf",),
        "SVG": (".svg",),
        "Photoshop": (".psd",),
        "video": (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"),
    }.items()
    for suffix in suffixes
    if suffix not in SUFFIXES
}
"""Formats of pictures and videos that are recognised by their ending but not read."""


def unread_format(name: str) -> str | None:
    """The format of a file that is recognised but not read, such as ``HEIC``; None for any other file."""
    return UNREAD_FORMATS.get(Path(name).suffix.lower())


def unread(name: str) -> Unusable:
    """The rejection of a file in one of ``UNREAD_FORMATS``."""
    kind = unread_format(name)
    what = "extract its frames as JPEG or PNG" if kind == "video" else "convert it to JPEG or PNG"
    return Unusable("unreadable-image", f"{name} is a {kind} file, which is not read; {what}")


@dataclass(slots=True)
class _Claim:
    """The file that a name was taken for. Exact claims rest on the whole path, others on its last part."""

    path: Path
    exact: bool


def annotation_bases(file: Path) -> list[Path]:
    """Folders that paths in an annotation file may be relative to.

    These are the file's folder and the one above it, ``images`` in each, and in all of these the folders
    named as the end of the file's name: ``default`` for ``person_keypoints_default.json``, ``val2017`` for
    ``person_keypoints_val2017.json``.
    """
    here, above = file.parent, file.parent.parent
    words = file.stem.replace("-", "_").split("_")
    subsets = ["_".join(words[k:]) for k in range(len(words))] + [w for w in words if split_of_folder(w)]
    bases = [here, here / "images", above, above / "images"]
    return bases + [base / name for base in bases for name in dict.fromkeys(subsets) if name]


def named_picture(name: str, place: Path | Unusable, file: Path, split: str | None) -> Picture:
    """The picture that an annotation file names.

    Args:
        name: the name as the file gives it.
        place: what ``PictureFinder`` found for it.
        file: the annotation file.
        split: the split that is known already; without one, the folders of the picture give it.
    """
    root = file.parent
    if isinstance(place, Path):
        shown_name = relative(place, root)
        return Picture(place, shown_name, source_name(shown_name, root), split or given_split(shown_name))
    shown_name = shown(name.replace("\\", "/"))
    # Folders of another machine tell neither source nor split.
    known = "" if is_absolute(name) or is_data_uri(name) else shown_name
    picture = Picture(
        root / (known or "missing"), shown_name, source_name(known, root), split or given_split(known)
    )
    picture.absent = place
    return picture


class PictureFinder:
    """Paths of pictures from their names in annotations.

    A name is tried as it is spelled, then in its other ``forms``, then by its last parts under ``bases``,
    then by its last part anywhere under ``roots``. The last part alone counts only if one picture has it and
    if the folders do not contradict each other (``cam2/1.jpg`` is not ``cam1/1.jpg``).

    Args:
        folders: view of the disk.
        bases: folders that names may be relative to, the best first.
        roots: folders to search for a picture by its last part.
    """

    def __init__(self, folders: Folders, bases: Sequence[Path], roots: Sequence[Path]) -> None:
        self.folders = folders
        self.bases = [base for base in dict.fromkeys(bases) if exists(base)]
        self.roots = [root for root in dict.fromkeys(roots) if exists(root)]
        self._index: dict[str, list[Path]] | None = None

    def find_all(self, names: Iterable[str]) -> dict[str, Path | Unusable]:
        """Find each name's picture, or say why there is none.

        Two different names never get the same file on the strength of their last part alone.
        """
        names = list(dict.fromkeys(names))
        found = {name: self._find(name) for name in names}
        owners: dict[Path, list[str]] = {}
        for name, claim in found.items():
            if isinstance(claim, _Claim):
                owners.setdefault(claim.path.absolute(), []).append(name)
        result: dict[str, Path | Unusable] = {}
        for name, claim in found.items():
            if isinstance(claim, Unusable):
                result[name] = claim
                continue
            others = [other for other in owners[claim.path.absolute()] if other != name]
            result[name] = claim.path
            if others and not claim.exact:
                result[name] = Unusable(
                    "ambiguous-image",
                    f"{claim.path.name} could be {shown(name, 80)} or {shown(others[0], 80)}; put the "
                    "pictures into the folders that the annotations name",
                )
        return result

    def _find(self, name: str) -> _Claim | Unusable:
        if is_data_uri(name):
            return Unusable(
                "missing-image",
                "the picture is embedded as a data URI; save it as a file and give its name instead",
            )
        claim = self._search(list(forms(name)))
        if isinstance(claim, _Claim) and unread_format(claim.path.name):
            return unread(claim.path.name)
        return claim

    def _search(self, spelled: Sequence[str]) -> _Claim | Unusable:
        for form in spelled:
            for base in self.bases:
                if (path := self.folders.file(base / form)) is not None:
                    return _Claim(path, exact=True)
        for form in spelled:
            parts = parts_of(form)
            for k in range(1 if len(parts) > 1 else 0, len(parts)):
                for base in self.bases:
                    if (path := self.folders.file(base.joinpath(*parts[k:]))) is not None:
                        return _Claim(path, exact=len(parts) - k > 1)
        return self._find_by_last_part(spelled)

    def _find_by_last_part(self, spelled: Sequence[str]) -> _Claim | Unusable:
        keys: list[Callable[[str], str]] = [same_name, without_upload_prefix]
        several: list[Path] = []
        foreign = is_absolute(spelled[0])
        for key in keys:
            for form in spelled:
                parts = parts_of(form)
                if not parts:
                    continue
                named = self._named(key(parts[-1]), key)
                candidates = [path for path in named if self._fits(path, parts, foreign=foreign)]
                if len(candidates) == 1:
                    return _Claim(candidates[0], exact=False)
                several = several or candidates
        name = (parts_of(spelled[-1]) or (spelled[0],))[-1]
        if several:
            where = ", ".join(shown(self._shown(path), 60) for path in several[:3])
            return Unusable("ambiguous-image", f"several pictures are called {shown(name, 80)}: {where}")
        return Unusable("missing-image", f"{shown(name, 120)} is not there{self._hint(spelled)}")

    def _named(self, key: str, how: Callable[[str], str]) -> list[Path]:
        if self._index is None:
            self._index = {}
            for path in islice(self._files(), LARGEST_INDEX):
                for text in {same_name(path.name), *(f"uploaded:{n}" for n in as_uploaded(path.name))}:
                    self._index.setdefault(text, []).append(path)
        return self._index.get(key if how is same_name else f"uploaded:{key}", [])

    def _files(self) -> Iterator[Path]:
        seen: set[Path] = set()
        for root in self.roots:
            for path in self.folders.pictures(root):
                if path not in seen:
                    seen.add(path)
                    yield path

    def _fits(self, path: Path, parts: Sequence[str], *, foreign: bool) -> bool:
        """True unless the picture's folder and that of its name both have names of their own that differ.

        Of a path of another machine (``foreign``) only the last folder tells; a number there is an id.
        """
        root = next((root for root in self.roots if path.is_relative_to(root)), path.parent)
        here = [name for name in path.relative_to(root).parts[:-1] if not is_generic(name)]
        named = [name for name in (parts[-2:-1] if foreign else parts[:-1]) if not is_generic(name)]
        if not here or not named or (foreign and named[-1].isdigit()):
            return True
        return same_name(here[-1]) == same_name(named[-1])

    def _hint(self, spelled: Sequence[str]) -> str:
        """A hint at a file of the same name with another ending."""
        for form in spelled:
            parts = parts_of(form)
            for base in self.bases:
                for folder in {base.joinpath(*parts[:-1]), base}:
                    for other in self.folders.listing(folder):
                        if parts and same_name(Path(other).stem) == same_name(Path(parts[-1]).stem):
                            return f", but {shown(self._shown(folder / other), 80)} is"
        return ""

    def _shown(self, path: Path) -> str:
        return relative(path, self.bases[0]) if self.bases else path.name
