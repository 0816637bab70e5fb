"""Properties of reading foreign files: any content gives faces or one ``DatasetError``, in bounded memory."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidloop.errors import DatasetError
from lidloop.review.decisions import DecisionFile, parse_decisions
from lidloop.review.exchange import Manifest, Returned, decisions_of
from lidloop.review.formats import streams
from lidloop.review.formats.tools import TOOLS
from tests.lidloop.review.test_formats import face, manifest_of, returned

NOW = datetime(2026, 5, 1, tzinfo=UTC)
JSON_TOOLS = [name for name in TOOLS if name != "cvat"]
HOSTILE: tuple[Any, ...] = (
    None, True, "", "x", "../../../etc/passwd", "/dev/zero", "\x00", "\ud800", 0, -1, 2, 1e300, 10**25, 1.5,
    float("nan"), float("inf"), [], {}, [[]], {"a": 1}, [None] * 3,
)  # fmt: skip


def paths_of(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places of all values in a JSON document."""
    yield here
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    )
    for key, below in entries:
        yield from paths_of(below, (*here, key))


def changed(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with another value at a place."""
    if not path:
        return value
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[path[0]] = changed(content[path[0]], path[1:], value)
    return copy


def read(tool: str, file: Path, manifest: Manifest) -> DecisionFile | None:
    """Decisions of a file, None where it is refused. Any other error than ``DatasetError`` fails the test."""
    try:
        return decisions_of(manifest, TOOLS[tool].read(file, manifest), tool=tool, at=NOW)
    except DatasetError as error:
        message = str(error)
    assert len(message) < 2000
    assert "\n" not in message
    return None


@pytest.mark.parametrize("tool", JSON_TOOLS)
@settings(max_examples=60)
@given(data=st.data(), value=st.sampled_from(HOSTILE))
def test_wrong_values_anywhere_are_read_or_refused(
    tool: str, data: st.DataObject, value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    manifest = manifest_of(face(), tool=tool)
    returned(tool, manifest, folder)
    (file,) = folder.glob("*.json")
    content = json.loads(file.read_text())
    path = data.draw(st.sampled_from(sorted(paths_of(content), key=repr)))
    file.write_text(json.dumps(changed(content, path, value)))
    found = read(tool, file, manifest)
    for decision in found.decisions if found else ():
        assert decision.image == "p"
        assert decision.points is None or np.isfinite(decision.array()).all()


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=40)
@given(data=st.data(), junk=st.binary(max_size=6))
def test_damaged_bytes_are_read_or_refused(
    tool: str, data: st.DataObject, junk: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    manifest = manifest_of(face(), tool=tool)
    returned(tool, manifest, folder)
    file = folder / {"cvat": "annotations.xml", "labelme": "p.json", "coco": "annotations.json"}.get(
        tool, "tasks.json"
    )
    content = file.read_bytes()
    at = data.draw(st.integers(0, len(content)))
    file.write_bytes(content[:at] + junk + content[at + data.draw(st.integers(0, 40)) :])
    read(tool, file, manifest)


@settings(max_examples=60)
@given(data=st.data(), value=st.sampled_from(HOSTILE))
def test_wrong_values_in_decisions_are_read_or_refused(data: st.DataObject, value: Any) -> None:
    manifest = manifest_of(face(), face(1, (600, 600)))
    moved = face()
    moved[0, 0] += 3
    back = {"p": [Returned("p:000000000000", moved)]}
    content = json.loads(decisions_of(manifest, back, tool="x", at=NOW).model_dump_json())
    path = data.draw(st.sampled_from(sorted(paths_of(content), key=repr)))
    with contextlib.suppress(DatasetError):
        parse_decisions(json.dumps(changed(content, path, value)).encode(), where="x")


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=10)
@given(order=st.permutations(range(5)))
def test_the_order_of_faces_in_a_file_does_not_matter(
    tool: str, order: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    manifest = manifest_of(*(face(k, (500 * k, 10)) for k in range(5)), tool=tool)
    picture = manifest.pictures[0]
    kept = [picture.faces[k] for k in order if k != 2]
    kept[0] = kept[0].model_copy(update={"points": [(x + 1, y, v) for x, y, v in kept[0].points]})
    other = manifest.model_copy(update={"pictures": [picture.model_copy(update={"faces": kept})]})
    found = decisions_of(manifest, returned(tool, other, tmp_path_factory.mktemp("o")), tool=tool, at=NOW)
    verdicts = {d.face: d.verdict for d in found.decisions}
    expected = dict.fromkeys((f.id for f in picture.faces), "confirmed")
    assert verdicts == expected | {picture.faces[2].id: "declined", kept[0].id: "corrected"}


def test_a_million_tasks_take_the_memory_of_one(tmp_path: Path) -> None:
    file, count = tmp_path / "many.json", 20_000  # the memory is the same for a million
    manifest = manifest_of(face(), tool="label-studio")
    with file.open("w") as out:
        out.write("[" + '{"data": {"picture": "p.png"}, "annotations": []},' * count)
        out.write('{"data": {"picture": "other.png"}}]')
    tracemalloc.start()
    with pytest.raises(DatasetError, match=f"task {count}.data.picture: picture other.png was not sent out"):
        TOOLS["label-studio"].read(file, manifest)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6


@pytest.mark.parametrize(
    ("tool", "start", "again", "said"),
    [
        ("label-studio", "[[", "1,", "an item of more than"),
        ("coco", '{"images": [[', "1,", "an item of more than"),
        ("cvat", "<annotations><image>", "<a/>", "elements in one place"),
    ],
)
def test_one_item_without_an_end_is_refused(
    tool: str, start: str, again: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_VALUES", 10_000)
    monkeypatch.setattr("lidloop.review.formats.cvat.MAX_NODES", 10_000)
    file = tmp_path / "long"
    file.write_text(start + again * 30_000)
    with pytest.raises(DatasetError, match=said):
        TOOLS[tool].read(file, manifest_of(face(), tool=tool))


@pytest.mark.parametrize("tool", TOOLS)
def test_a_file_over_the_limit_is_refused_before_it_is_read(tool: str, tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as sparse:
        sparse.truncate(streams.MAX_BYTES + 1)
    with pytest.raises(DatasetError, match="import it in parts"):
        TOOLS[tool].read(file, manifest_of(face(), tool=tool))
