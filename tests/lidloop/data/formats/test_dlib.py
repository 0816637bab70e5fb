"""dlib XML."""

from pathlib import Path

import pytest

from lidloop.data.formats import dlib
from lidloop.errors import SourceError


def _parts(n: int, **change: str) -> str:
    values = {f"p{k}": f"<part name='{k:02d}' x='{k}' y='{2 * k}'/>" for k in range(n)} | change
    return "".join(values.values())


def _xml(*boxes: str, file: str = "helen/trainset/1.jpg") -> str:
    inner = "".join(f"<box top='1' left='2' width='3' height='4' {b}</box>" for b in boxes)
    images = f"<images><image file='{file}'>{inner}</image></images>"
    return f"<?xml version='1.0'?><dataset><name>x</name>{images}</dataset>"


def test_read(tmp_path: Path) -> None:
    file = tmp_path / "labels_train.xml"
    file.write_text(_xml(">" + _parts(68), ">" + _parts(51)))
    (picture,) = dlib.read(file).pictures
    assert picture.path == tmp_path / "helen/trainset/1.jpg"
    assert (picture.file, picture.source, picture.split) == ("helen/trainset/1.jpg", "helen", "train")
    full, short = picture.faces
    assert full.points[0].tolist() == [17, 34, 2], "counted from 0, jaw dropped"
    assert short.points[50].tolist() == [50, 100, 2]


@pytest.mark.parametrize(
    ("box", "why", "reason"),
    [
        (">" + _parts(67), "wrong-point-count", "a point less"),
        (">" + _parts(0), "wrong-point-count", "a box alone"),
        (">" + _parts(68, p3=""), "wrong-point-count", "a gap"),
        (">" + _parts(68, p3="<part name='04' x='1' y='1'/>"), "wrong-point-count", "a point twice"),
        (">" + _parts(68, p3="<part name='nose' x='1' y='1'/>"), "wrong-point-count", "another name"),
        (">" + _parts(68, p30="<part name='30' x='nan' y='1'/>"), "not-a-number", "NaN"),
        (">" + _parts(68, p30="<part name='30' x='' y='1'/>"), "not-a-number", "nothing"),
        (">" + _parts(68, p30="<part name='30' y='1'/>"), "not-a-number", "an attribute missing"),
        ("ignore='1'>" + _parts(68), "ignored", "a box to ignore"),
    ],
    ids=lambda v: v if len(v) < 40 else "",
)
def test_rejects(tmp_path: Path, box: str, why: str, reason: str) -> None:
    file = tmp_path / "x.xml"
    file.write_text(_xml(">" + _parts(68), box))
    reading = dlib.read(file)
    assert [(r.reason, r.file, r.source) for r in reading.rejects] == [
        (why, "x.xml#helen/trainset/1.jpg#box1", "helen")
    ], reason
    assert [(len(p.faces), p.rejected) for p in reading.pictures] == [(1, 1)]


def test_an_image_without_a_file(tmp_path: Path) -> None:
    file = tmp_path / "x.xml"
    file.write_text("<dataset><images><image/></images></dataset>")
    assert [r.reason for r in dlib.read(file).rejects] == ["unparsable-file"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "XML"), ("<dataset>", "XML"), ("<html/>", "not a dlib dataset"), ("{}", "XML")],
)
def test_another_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "x.xml"
    file.write_text(text)
    with pytest.raises(SourceError, match=message):
        dlib.read(file)


def test_entity_expansion_is_limited(tmp_path: Path) -> None:
    entities = "".join(f"<!ENTITY e{k} '{f'&e{k - 1};' * 10}'>" for k in range(1, 12))
    file = tmp_path / "x.xml"
    file.write_text(f"<!DOCTYPE x [<!ENTITY e0 'haha'>{entities}]><dataset>&e11;</dataset>")
    with pytest.raises(SourceError, match="amplification"):
        dlib.read(file)
