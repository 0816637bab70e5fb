"""Choice of the classes of a dataset that are faces, by their names. Pure."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lidloop.data.formats.records import Unusable
from lidloop.data.formats.text import shown
from lidloop.errors import SourceError

_FACE_WORDS: Final = (
    {"face", "faces", "facial"},
    {"head", "heads"},
    {"person", "persons", "people", "human", "humans", "patient", "patients"},
)
"""Words of class names that mean a face, the surest first; only classes of the surest kind are faces."""


@dataclass(frozen=True)
class Classes:
    """The classes of a dataset, and those of them that are faces.

    Attributes:
        names: class name by the key that annotations use; empty if the dataset names none.
        faces: keys of the classes that are faces.
        unclear: True if several classes are named and none of the names says face.
    """

    names: Mapping[Hashable, str]
    faces: frozenset[Hashable]
    unclear: bool = False

    def check(self, key: Hashable) -> None:
        """Check that an annotation of class ``key`` is one of a face.

        Raises:
            Unusable: for a class that the dataset does not name, or that is no face.
        """
        if not self.names:
            return
        if key not in self.names:
            raise Unusable("other-class", f"class {shown(key, 40)} is not among the classes {self._listed()}")
        if self.unclear:
            raise Unusable(
                "other-class",
                f"none of the classes {self._listed()} is called face; name those that are one in the "
                f"source, as in ?class={next(iter(self.names.values()))}",
            )
        if key not in self.faces:
            raise Unusable("other-class", f"the class {shown(self.names[key], 60)} is not a face")

    def _listed(self) -> str:
        names = [shown(name, 40) for name in list(self.names.values())[:8]]
        return ", ".join(names) + (", …" if len(self.names) > 8 else "")


def choose(names: Mapping[Hashable, str], wanted: Sequence[str] = ()) -> Classes:
    """Choose the classes that are faces.

    A single class is one whatever its name. Of several, those are faces whose name has the word face; where
    there is none, head; then person, human or patient.

    Args:
        names: class name by key.
        wanted: names given by the user; these classes are faces, and no others.

    Raises:
        SourceError: where a wanted name is not among the names.

    Example:
        >>> sorted(choose({0: "face", 1: "dog"}).faces)
        [0]
    """
    if wanted:
        lower = {name.strip().casefold() for name in wanted}
        unknown = lower - {name.casefold() for name in names.values()}
        if unknown and names:
            listed = ", ".join(shown(name, 40) for name in list(names.values())[:8])
            raise SourceError(f"no class is called {shown(sorted(unknown)[0], 60)}; the classes are {listed}")
        return Classes(dict(names), frozenset(k for k, name in names.items() if name.casefold() in lower))
    if len(names) <= 1:
        return Classes(dict(names), frozenset(names))
    for words in _FACE_WORDS:
        faces = frozenset(key for key, name in names.items() if words & _words(name))
        if faces:
            return Classes(dict(names), faces)
    return Classes(dict(names), frozenset(), unclear=True)


def _words(name: str) -> set[str]:
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return {word for word in re.split(r"[^a-z]+", spaced.lower()) if word}
