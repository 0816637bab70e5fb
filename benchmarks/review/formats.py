"""Table of formats for docs/REVIEW.md: what comes back of drawn faces that are written and read again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.pages.markdown import table
from lidloop.landmarks import NAMES
from lidloop.review.exchange import SAME_SCORE, Manifest, Returned, SentFace, SentPicture, as_points
from lidloop.review.formats.tools import TOOLS
from lidloop.synthetic import draw_picture

PICTURES: Final = 12
SIZE: Final = (480, 360)
KINDS: Final = ("human", "grown", "dropped")
_SIDES: Final = [k for k, name in enumerate(NAMES) if name.startswith(("left", "right"))]


def drawn_manifest(tool: str, *, pictures: int = PICTURES) -> Manifest:
    """Faces of drawn pictures, some points of each hidden, with scores, kinds and iterations of all sorts."""
    rng = np.random.default_rng(0)
    sent = []
    for seed in range(pictures):
        faces = []
        for drawn in draw_picture(seed=9000 + seed, size=SIZE).faces:
            points = drawn.face().points.astype(np.float64)
            seen = np.flatnonzero(points[:, 2] > 0)
            points[rng.choice(seen, len(seen) // 4, replace=False), 2] = 1
            kind = KINDS[len(faces) % len(KINDS)]
            faces.append(
                SentFace(
                    id=f"{seed}:{len(faces):012x}", kind=kind, score=1.0 if kind == "human" else rng.random(),
                    origin=-1 if kind == "human" else int(rng.integers(0, 12)), points=as_points(points),
                )
            )  # fmt: skip
        name = f"{seed}.png"
        sent.append(
            SentPicture(
                id=str(seed), file=name, place=f"images/{name}", width=SIZE[0], height=SIZE[1],
                sha256="0" * 64, faces=faces,
            )
        )  # fmt: skip
    return Manifest(to=tool, dataset="0" * 64, labels=1, pictures=sent)


def round_trip(manifest: Manifest, folder: Path) -> dict[str, list[Returned]]:
    """Write the faces of a manifest for its tool and read them again, as if a person had finished all."""
    tool = TOOLS[manifest.to]
    written = tool.write(manifest, folder)
    if manifest.to == "label-studio":
        written.write_text(json.dumps([finished(task) for task in json.loads(written.read_text())]))
    return tool.read(written, manifest)


def finished(task: dict[str, Any]) -> dict[str, Any]:
    """A task of Label Studio as it is exported when a person submits its prediction unchanged."""
    result = task["predictions"][0]["result"]
    rest = {key: value for key, value in task.items() if key != "predictions"}
    return {**rest, "annotations": [{"was_cancelled": False, "result": result}]}


def measure(tool: str) -> dict[str, Any]:
    """Send drawn faces through a format.

    Returns:
        ``faces``: their number; ``error``: largest distance that a coordinate moved, in pixels;
        ``visibility``, ``sides``, ``ids``, ``score``, ``kind``, ``iteration``: True where all came back.
    """
    manifest = drawn_manifest(tool)
    with tempfile.TemporaryDirectory(prefix="lidloop-formats-") as folder:
        pairs = list(_pairs(manifest, round_trip(manifest, Path(folder))))
    sent = np.array([face.array() for face, _ in pairs])
    back = np.array([face.points for _, face in pairs])
    moved = np.abs(sent - back)[..., :2]
    return {
        "faces": len(pairs), "error": float(moved.max()),
        "visibility": bool((sent[..., 2] == back[..., 2]).all()),
        "sides": bool((moved[:, _SIDES] < 1).all()),
        "ids": all(face.id == found.face for face, found in pairs),
        "score": all(found.score is not None and abs(face.score - found.score) <= SAME_SCORE
                     for face, found in pairs),
        "kind": all(face.kind == found.kind for face, found in pairs),
        "iteration": all(face.origin == found.origin for face, found in pairs),
    }  # fmt: skip


def _pairs(manifest: Manifest, back: dict[str, list[Returned]]) -> Iterator[tuple[SentFace, Returned]]:
    """Faces with what came back of each, in the order of the file."""
    for picture in manifest.pictures:
        yield from zip(picture.faces, back[picture.id], strict=True)


def section() -> str:
    """The table, in Markdown."""
    rows = []
    for tool in TOOLS:
        found = measure(tool)
        kept = ["kept" if found[key] else "**lost**" for key in ("visibility", "sides", "ids", "score")]
        origin = "kept" if found["kind"] and found["iteration"] else "**lost**"
        rows.append((f"`{tool}`", str(found["faces"]), _pixels(found["error"]), *kept, origin))
    heads = ("`--to`", "faces", "points moved by", "visibility", "sides", "ids", "score", "kind, iteration")
    return table(heads, rows)


def _pixels(error: float) -> str:
    """An upper bound of an error in pixels, as a power of ten."""
    limits = ("0.000001", "0.0001", "0.001", "0.01", "0.1", "1")
    return next((f"< {limit} px" for limit in limits if error < float(limit)), f"{error:.1f} px")
