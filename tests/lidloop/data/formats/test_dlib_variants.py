"""dlib XML as other tools write it: encodings, names of pictures, parts, labels."""

from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from lidloop.data.formats import dlib
from lidloop.data.formats.records import ReadOptions
from lidloop.errors import SourceError


def parts(n: int = 68, first: int = 0, **change: str) -> str:
    values = {f"p{k}": f"<part name='{k:02d}' x='{k + 1}' y='{2 * k + 1}'/>" for k in range(first, first + n)}
    return "".join((values | change).values())


def xml(name: str, content: str = "", header: str = "", more: str = "") -> str:
    box = f"<box top='1' left='2' width='3' height='4'>{content or parts()}</box>"
    return f"{header}<dataset><images><image file={quoteattr(name)} {more}>{box}</image></images></dataset>"


LATIN = "<?xml version='1.0' encoding='ISO-8859-1'?>\n"
NAMES = ["ame\u0301lie.jpg", "am\u00e9lie.jpg", "\u0141ucja.jpg", "\u60a3\u8005.jpg"]


@pytest.mark.parametrize(
    ("header", "encoding", "name", "disk", "why"),
    [
        (
            LATIN,
            "utf-8",
            "\u0141ucja.jpg",
            "\u0141ucja.jpg",
            "ISO-8859-1 declared, UTF-8 written, as imglab does",
        ),
        (LATIN, "utf-8", "\u60a3\u8005.jpg", "\u60a3\u8005.jpg", "the same in Chinese"),
        (LATIN, "utf-8", "am\u00e9lie.jpg", "ame\u0301lie.jpg", "the same, and another Unicode form on disk"),
        (LATIN, "latin-1", "am\u00e9lie.jpg", "am\u00e9lie.jpg", "ISO-8859-1 declared and written"),
        ("", "latin-1", "am\u00e9lie.jpg", "am\u00e9lie.jpg", "nothing declared, ISO-8859-1 written"),
        (
            "<?xml version='1.0' encoding='UTF-8'?>",
            "latin-1",
            "am\u00e9lie.jpg",
            "am\u00e9lie.jpg",
            "UTF-8 declared",
        ),
        (
            "<?xml version='1.0' encoding='GB2312'?>",
            "gb2312",
            "\u60a3\u8005.jpg",
            "\u60a3\u8005.jpg",
            "two bytes each",
        ),
        (
            "<?xml version='1.0' encoding='x-none'?>",
            "latin-1",
            "am\u00e9lie.jpg",
            "am\u00e9lie.jpg",
            "no encoding",
        ),
        ("", "utf-8-sig", "am\u00e9lie.jpg", "am\u00e9lie.jpg", "a byte order mark"),
        ("", "utf-16", "am\u00e9lie.jpg", "am\u00e9lie.jpg", "UTF-16"),
        (LATIN, "utf-8", "a&b <1>.jpg", "a&b <1>.jpg", "characters that XML escapes"),
    ],
)
def test_encodings(tmp_path: Path, header: str, encoding: str, name: str, disk: str, why: str) -> None:
    (tmp_path / disk).touch()
    (tmp_path / "x.xml").write_bytes(xml(name, header=header).encode(encoding))
    (picture,) = dlib.read(tmp_path / "x.xml").pictures
    assert picture.absent is None, why
    assert picture.path.samefile(tmp_path / disk)


@pytest.mark.parametrize(
    ("name", "disk", "why"),
    [
        ("faces\\a.jpg", "faces/a.jpg", "a backslash"),
        ("C:\\faces\\a.jpg", "a.jpg", "a Windows path"),
        ("/home/anna/a.jpg", "images/a.jpg", "a path of another machine"),
        ("../x/a.jpg", "a.jpg", "dots"),
        ("A.JPG", "a.jpg", "case"),
        ("my%20face.jpg", "my face.jpg", "percent-encoding"),
    ],
)
def test_names(tmp_path: Path, name: str, disk: str, why: str) -> None:
    (tmp_path / disk).parent.mkdir(exist_ok=True)
    (tmp_path / disk).touch()
    (tmp_path / "x.xml").write_text(xml(name))
    (picture,) = dlib.read(tmp_path / "x.xml").pictures
    assert picture.path.samefile(tmp_path / disk), why


def test_a_name_out_of_a_store_stays_in_it(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").touch()
    (tmp_path / "set").mkdir()
    (tmp_path / "set/x.xml").write_text(xml("../secret.jpg"))
    (picture,) = dlib.read(tmp_path / "set/x.xml", ReadOptions(inside=tmp_path / "set")).pictures
    assert picture.absent is not None


@pytest.mark.parametrize(
    ("content", "first", "why"),
    [
        (parts(51), [1, 1, 2], "51 parts from 0 on"),
        (parts(51, 17), [18, 35, 2], "parts 17 to 67: iBUG's without the jaw"),
        (parts(68, p17="<part name='17' x='0' y='0'/>"), [0, 0, 0], "a part at 0 0 that nobody placed"),
        ("<label>face</label>" + parts(), [18, 35, 2], "a label"),
    ],
)
def test_parts(tmp_path: Path, content: str, first: list[float], why: str) -> None:
    (tmp_path / "x.xml").write_text(xml("a.jpg", content))
    (picture,) = dlib.read(tmp_path / "x.xml").pictures
    assert picture.faces[0].points[0].tolist() == first, why


def test_boxes_of_other_labels_are_rejected(tmp_path: Path) -> None:
    box = "<box top='1' left='2' width='3' height='4'><label>{}</label>" + parts() + "</box>"
    text = "".join(box.format(label) for label in ("dog", "face", "left_face"))
    (tmp_path / "x.xml").write_text(f"<dataset><images><image file='a.jpg'>{text}</image></images></dataset>")
    reading = dlib.read(tmp_path / "x.xml")
    assert [(r.reason, r.file) for r in reading.rejects] == [("other-class", "x.xml#a.jpg#box0")]
    assert len(reading.pictures[0].faces) == 2


def test_the_size_of_the_picture_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_text(xml("a.jpg", more="width='640' height='480'"))
    assert dlib.read(tmp_path / "x.xml").pictures[0].size == (640, 480)


@pytest.mark.parametrize(
    ("text", "fragment", "why"),
    [
        ("<annotations><image name='a.jpg'/></annotations>", "CVAT", "CVAT's XML"),
        ("<annotation><object/></annotation>", "VOC", "Pascal VOC"),
        ("<html></html>", "web page", "a web page"),
        ("\0", "XML", "binary"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, text: str, fragment: str, why: str) -> None:
    (tmp_path / "x.xml").write_text(text)
    with pytest.raises(SourceError, match=fragment):
        dlib.read(tmp_path / "x.xml")


@pytest.mark.parametrize(
    ("content", "reason", "why"),
    [
        (parts(68, p30="<part name='30' x='" + "9" * 400 + "' y='1'/>"), "not-a-number", "400 digits"),
        (parts(68, p30="<part name='" + "9" * 400 + "' x='1' y='1'/>"), "wrong-point-count", "a long name"),
        (parts(68, p30="<part name='３０' x='1' y='1'/>"), "wrong-point-count", "digits of another script"),
        (parts(68, p30=""), "wrong-point-count", "a part that imglab left out"),
        ("<b>" * 50_000 + "</b>" * 50_000, "wrong-point-count", "deep nesting"),
    ],
)
def test_rejects(tmp_path: Path, content: str, reason: str, why: str) -> None:
    (tmp_path / "x.xml").write_text(xml("a.jpg", content))
    (reject,) = dlib.read(tmp_path / "x.xml").rejects
    assert reject.reason == reason, why
    assert len(reject.detail) < 500
