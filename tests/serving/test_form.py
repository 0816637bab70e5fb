"""Forms as clients send them: names and file names in any encoding, wrong fields, odd parts."""

from __future__ import annotations

import urllib.parse
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from lidloop.web.problems import Problem
from serving.form import parse_form
from serving.intake import FIELDS
from tests.properties import examples
from tests.serving.conftest import Photo

TYPE = {"Content-Type": "multipart/form-data; boundary=x"}
NAMES = [
    "患者.jpg",
    "Łucja.jpg",
    "Bildschirmfoto 10.12\u202fPM.jpg",
    "é.jpg",
    "😀.jpg",
    "a;b=c.jpg",
    "a\\b.jpg",
    "",
]
UNICODE = "患者"


def part(disposition: bytes | str, content: bytes = b"PICTURE", more: str = "") -> bytes:
    value = disposition if isinstance(disposition, bytes) else disposition.encode()
    return (
        b"--x\r\nContent-Disposition: form-data; "
        + value
        + b"\r\n"
        + more.encode()
        + b"\r\n"
        + content
        + b"\r\n"
    )


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--x--\r\n"


DISPOSITIONS: list[bytes | str] = [
    *(f'name="image"; filename="{name}"' for name in NAMES),
    b'name="image"; filename="\xc5ukasz.jpg"',  # Latin-1, or any other eight-bit encoding
    b'name="image"; filename="\xff\xfe\x80.jpg"',
    "name=image; filename=photo.jpg",
    f"name=image; filename={UNICODE}.jpg",
    f"name=\"image\"; filename*=UTF-8''{urllib.parse.quote(UNICODE)}.jpg",
    f"name=image; filename=photo.jpg; filename*=utf-8''{urllib.parse.quote(UNICODE)}.jpg",
    "name=\"image\"; filename*=iso-8859-1'en'%E9.jpg",
    "name=\"image\"; filename*=unknown-charset''%E9.jpg",
    'name="image"; filename*=%; filename*0=a; filename*1*=b',
    'name="image"; filename="%E6%82%A3%E8%80%85.jpg"',
    'name="image"; filename="=?UTF-8?B?5oKj6ICF?=.jpg"',
    'filename="photo.jpg"; name="image"',
    'NAME="image"; FileName="photo.jpg"',
    'name="image"; filename="C:\\Users\\a\\photo.jpg"',
    'name="image"; filename="a\\"; name=\\"other.jpg"',
    'name="image"; size=3; filename="photo.jpg"',
]


@pytest.mark.parametrize("disposition", DISPOSITIONS, ids=range(len(DISPOSITIONS)))
def test_a_file_name_in_any_encoding_is_ignored(disposition: bytes | str) -> None:
    assert parse_form(form(part(disposition)), "x", FIELDS) == (b"PICTURE", {}, 0)


@pytest.mark.parametrize("name", NAMES)
def test_clients_send_any_file_name(client: TestClient, photo: Photo, name: str) -> None:
    answer = client.post("/v1/screen", files={"image": (name, photo.jpeg, "image/jpeg")})
    assert answer.status_code == 200, answer.text
    assert answer.json()["warnings"] == []


def test_file_names_in_raw_bytes_are_answered(client: TestClient, photo: Photo) -> None:
    for raw in (
        b"\xc5ukasz.jpg",
        "患者.jpg".encode(),
        "患者.jpg".encode("gbk"),
        "患者.jpg".encode("shift-jis"),
    ):
        body = form(
            part(b'name="image"; filename="' + raw + b'"', photo.jpeg, "Content-Type: image/jpeg\r\n")
        )
        answer = client.post("/v1/screen", content=body, headers=TYPE)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "disposition",
    [
        f'name="{UNICODE}"',
        b'name="\xe9"',
        f"name*=UTF-8''{urllib.parse.quote(UNICODE)}",
        f'name="{UNICODE}"; filename="{UNICODE}"',
    ],
    ids=["UTF-8", "Latin-1", "RFC 5987", "a file"],
)  # fmt: skip
def test_a_field_with_a_name_beyond_ascii_is_not_used_and_said(
    client: TestClient, photo: Photo, disposition: bytes | str
) -> None:
    body = form(part(disposition, b"1"), part('name="image"', photo.jpeg))
    answer = client.post("/v1/screen", content=body, headers=TYPE)
    assert answer.status_code == 200, answer.text
    assert [warning["code"] for warning in answer.json()["warnings"]] == ["field-unused"]
    fhir = client.post("/v1/screen", content=body, headers=TYPE | {"Accept": "application/fhir+json"})
    assert "was not used" in fhir.text
    assert UNICODE not in answer.text + fhir.text


LARGE = bytes(5000)
SECOND = 'Content-Disposition: form-data; name="a"\r\n'
WRONG = [
    ("the picture is in `file`", form(part('name="file"; filename="a.jpg"')), "`file`; the field is `image`"),
    ("in `photo`, and large", form(part('name="photo"', LARGE)), "`photo`; the field is `image`"),
    ("with a parameter", form(part('name="photo"', LARGE), part('name="mirrored"', b"1")), "`photo`"),
    ("beside text", form(part('name="photo"; filename="a"'), part('name="note"', b"a")), "`photo`"),
    ("another case", form(part('name="Image"; filename="a"')), "`Image`; the field is `image`"),
    ("in brackets", form(part('name="image[]"; filename="a"')), "`image[]`; the field is `image`"),
    ("beyond ASCII", form(part(f'name="{UNICODE}"; filename="a"', LARGE)), "the field is `image`"),
    ("two files", form(part('name="a"; filename="a"'), part('name="b"; filename="b"')), "no field `image`"),
    ("parameters only", form(part('name="mirrored"', b"1")), "no field `image`"),
    ("no file was chosen", form(part('name="image"; filename=""', b"")), "is empty"),
    ("base64", form(part('name="image"', b"AAAA", "Content-Transfer-Encoding: base64\r\n")), "base64"),
    ("gzip", form(part('name="image"', b"AAAA", "Content-Encoding: gzip\r\n")), "gzip"),
    ("a name in parts", form(part("name*=a; name*0=b")), "no name"),
    ("two dispositions", form(part('name="image"', more=SECOND)), "twice"),
    ("no closing boundary", part('name="image"'), "cut short"),
    ("lines without CR", form(part('name="image"')).replace(b"\r\n", b"\n"), ""),
]  # fmt: skip


@pytest.mark.parametrize(("why", "body", "said"), WRONG, ids=[case[0] for case in WRONG])
def test_a_wrong_form_is_told_what_is_wrong(client: TestClient, why: str, body: bytes, said: str) -> None:
    answer = client.post("/v1/screen", content=body, headers=TYPE)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/body")
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data;", "multipart/form-data; boundary="]
)
def test_a_form_without_a_boundary_is_told_so(client: TestClient, photo: Photo, kind: str) -> None:
    body = form(part('name="image"', photo.jpeg))
    answer = client.post("/v1/screen", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert "boundary" in answer.json()["detail"]


def test_two_content_types_are_refused(client: TestClient) -> None:
    headers = [("Content-Type", "image/png"), ("Content-Type", "multipart/form-data; boundary=x")]
    answer = client.post("/v1/screen", content=form(part('name="image"')), headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/body")


@pytest.mark.parametrize("boundary", ['"x"', "x; charset=utf-8"])
def test_chunks_an_expectation_and_text_around_the_parts_are_taken(
    client: TestClient, photo: Photo, boundary: str
) -> None:
    body = b"\r\n" + form(part('name="image"', photo.jpeg)) + b"an epilogue"
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Expect": "100-continue"}
    chunks = (body[start : start + 1000] for start in range(0, len(body), 1000))
    answer = client.post("/v1/screen", content=chunks, headers=headers)
    assert answer.status_code == 200, answer.text


def test_an_unknown_field_is_named_and_its_content_is_not(client: TestClient, photo: Photo) -> None:
    for content in (b"Mrs Somebody", LARGE + b"Mrs Somebody"):
        body = form(part('name="comment"', content), part('name="image"', photo.jpeg))
        answer = client.post("/v1/screen", content=body, headers=TYPE)
        assert (answer.status_code, answer.json()["parameter"]) == (400, "comment")
        assert "Somebody" not in answer.text


@examples(300)
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=60)
            | st.sampled_from(DISPOSITIONS).map(lambda d: d if isinstance(d, bytes) else d.encode()),
            st.binary(max_size=20),
        ),
        max_size=3,
    ),
    st.binary(max_size=10),
)
def test_no_bytes_of_a_form_are_an_error_of_the_server(parts: list[Any], tail: bytes) -> None:
    body = b"".join(part(disposition, content) for disposition, content in parts) + tail + b"--x--\r\n"
    try:
        parse_form(body, "x", FIELDS)
    except Problem as problem:
        assert problem.kind in ("body", "parameter")  # noqa: PT017
