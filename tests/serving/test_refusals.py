"""Rejected requests: a problem document of a stable type, never a stack trace and never a 500."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from starlette.testclient import TestClient

from lidloop.synthetic import draw_face
from serving.problems import PROBLEM_TYPES
from tests.serving.conftest import ClientFactory, Photo, encode

JPEG = {"Content-Type": "image/jpeg"}
PNG = {"Content-Type": "image/png"}


def small(suffix: str = ".png") -> bytes:
    return encode(np.full((32, 48, 3), 90, np.uint8), suffix)


def saved(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (48, 32)).save(buffer, kind, **options)
    return buffer.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header promises so many pixels."""
    data = bytearray(small())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def jpeg_of_size(width: int, height: int) -> bytes:
    """A JPEG whose header promises so many pixels."""
    data = bytearray(small(".jpg"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


def text_bomb() -> bytes:
    """A PNG with a compressed comment that expands to 50 MB."""
    info = PngInfo()
    info.add_text("x", "a" * 50_000_000, zip=True)
    return saved("PNG", pnginfo=info)


def scan_bomb() -> bytes:
    """A JPEG of 1,000 scans."""
    data = saved("JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 1000 + data[-2:]


def animated() -> bytes:
    return saved("PNG", save_all=True, append_images=[Image.new("RGB", (48, 32), "red")])


BODIES = [
    ("an empty body", b"", JPEG, 415, "media-type"),
    ("text that calls itself a JPEG", b"not a picture", JPEG, 415, "media-type"),
    ("a GIF that calls itself a PNG", saved("GIF"), PNG, 415, "media-type"),
    ("a WebP", saved("WEBP"), JPEG, 415, "media-type"),
    ("a TIFF", saved("TIFF"), JPEG, 415, "media-type"),
    ("a BMP", saved("BMP"), PNG, 415, "media-type"),
    ("no content type", small(), {"Content-Type": ""}, 415, "media-type"),
    ("a content type that is not accepted", small(), {"Content-Type": "image/gif"}, 415, "media-type"),
    ("a compressed body", zlib.compress(small()), PNG | {"Content-Encoding": "deflate"}, 415, "media-type"),
    ("a JPEG cut short", small(".jpg")[:-40], JPEG, 422, "picture"),
    ("a JPEG of its first bytes only", b"\xff\xd8\xff\xe0", JPEG, 422, "picture"),
    ("a PNG cut short", small()[:-30], PNG, 422, "picture"),
    ("a PNG of its signature only", b"\x89PNG\r\n\x1a\n", PNG, 422, "picture"),
    ("a PNG with a wrong checksum", small()[:20] + b"\xff" + small()[21:], PNG, 422, "picture"),
    ("a PNG with a comment that expands to 50 MB", text_bomb(), PNG, 422, "picture"),
    ("a JPEG of 1,000 scans", scan_bomb(), JPEG, 422, "picture"),
    ("an animated PNG", animated(), PNG, 422, "picture"),
    ("a PNG header of 3.6 gigapixels", png_of_size(60_000, 60_000), PNG, 413, "too-large"),
    ("a PNG header just over 25 megapixels", png_of_size(5001, 5000), PNG, 413, "too-large"),
    ("a PNG header of no width", png_of_size(0, 5000), PNG, 422, "picture"),
    ("a JPEG header of 4.2 gigapixels", jpeg_of_size(65_000, 65_000), JPEG, 413, "too-large"),
    ("a JPEG header of no height", jpeg_of_size(48, 0), JPEG, 422, "picture"),
    ("one byte over 25 MB", small() + bytes(25_000_001 - len(small())), PNG, 413, "too-large"),
    ("60 MB", bytes(60_000_000), PNG, 413, "too-large"),
    ("a DICOM file of another kind", bytes(128) + b"DICM" + bytes(500), JPEG, 415, "media-type"),
]  # fmt: skip


def check(response: Any, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["type"] == f"/problems/{kind}"
    assert document["status"] == status == PROBLEM_TYPES[kind].status
    assert document["title"] == PROBLEM_TYPES[kind].title
    assert document["instance"] == f"urn:uuid:{response.headers['x-request-id']}"
    assert document["detail"]
    return document


@pytest.mark.parametrize(("reason", "body", "headers", "status", "kind"), BODIES, ids=[b[0] for b in BODIES])
def test_wrong_bodies_are_problems(
    client: TestClient, reason: str, body: bytes, headers: dict[str, str], status: int, kind: str
) -> None:
    document = check(client.post("/v1/screen", content=body, headers=headers), status, kind)
    if kind == "too-large":
        assert document["unit"] in ("bytes", "pixels")
        assert document["limit"] in (25_000_000, 65_000_000)


@pytest.mark.parametrize(
    ("reason", "body", "headers", "status", "kind"), BODIES[9:], ids=[b[0] for b in BODIES[9:]]
)
def test_wrong_pictures_in_a_form_are_problems(
    client: TestClient, reason: str, body: bytes, headers: dict[str, str], status: int, kind: str
) -> None:
    check(client.post("/v1/screen", files={"image": ("x", body)}), status, kind)


def test_a_body_of_unknown_length_ends_at_the_limit(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(300):
            yield bytes(100_000)

    response = client.post("/v1/screen", content=chunks(), headers=PNG)
    assert check(response, 413, "too-large")["unit"] == "bytes"


PARAMETERS = [
    ("mirrored", "maybe", "not a boolean"),
    ("mirrored", "", "nothing"),
    ("mm_per_px", "0", "no scale"),
    ("mm_per_px", "-1", "negative"),
    ("mm_per_px", "nan", "not a number"),
    ("mm_per_px", "1e9", "a face of a kilometre"),
    ("mm_per_px", "wide", "a word"),
    ("max_faces", "0", "too few"),
    ("max_faces", "51", "too many"),
    ("max_faces", "1.5", "not whole"),
    ("max_faces", "٣", "a digit that is not ASCII"),
    ("max_faces", "9" * 5000, "more digits than Python converts"),
    ("pupils", "OD", "not JSON"),
    ("pupils", "[" * 100_000, "nested without end"),
    ("pupils", "{}", "empty"),
    ("pupils", '{"LEFT": [1, 2]}', "not a side"),
    ("pupils", '{"OD": [1]}', "not a point"),
    ("pupils", '{"OD": [1, "2"]}', "text for a number"),
    ("pupils", '{"OD": [1, true]}', "a boolean for a number"),
    ("pupils", '{"OD": [NaN, 1]}', "not a number"),
    ("pupils", '{"OD": [1, 1e300]}', "far away"),
    ("pupils", '{"OD": [48, 10]}', "a pixel outside the picture"),
    ("conf", "0.5", "unknown"),
    ("subject", "Patient/1", "patient data in an address"),
]


@pytest.mark.parametrize(("name", "value", "reason"), PARAMETERS, ids=[f"{n}: {r}" for n, _, r in PARAMETERS])
@pytest.mark.parametrize("where", ["address", "form"])
def test_a_wrong_parameter_is_named(
    client: TestClient, name: str, value: str, reason: str, where: str
) -> None:
    if where == "form":
        response = client.post("/v1/screen", files={"image": small()}, data={name: value})
    elif len(value) > 10_000:
        pytest.skip("longer than an address may be")
    else:
        response = client.post("/v1/screen", content=small(), headers=PNG, params={name: value})
    assert check(response, 400, "parameter")["parameter"] == name


@pytest.mark.parametrize(
    ("query", "fields", "reason"),
    [
        ("mirrored=true&mirrored=false", {}, "twice in the address"),
        ("mirrored=true", {"mirrored": "true"}, "in the address and in the form"),
        ("", {"mirrored": ["true", "true"]}, "twice in the form"),
    ],
)
def test_a_parameter_is_given_once(client: TestClient, query: str, fields: dict, reason: str) -> None:
    response = client.post(f"/v1/screen?{query}", files={"image": small()}, data=fields)
    assert check(response, 400, "parameter")["parameter"] == "mirrored"


def test_the_size_of_form_fields_is_limited(client: TestClient) -> None:
    pupils = "[" + "[]," * 400 + "[]]"
    response = client.post("/v1/screen", files={"image": small()}, data={"pupils": pupils})
    refused = check(response, 400, "parameter")
    assert refused["parameter"] == "pupils"
    assert "1024 bytes" in refused["detail"]


@pytest.mark.parametrize(
    "content_type",
    [
        "image/jpeg; x*0=1; x*=2",
        "multipart/form-data; boundary*=a; boundary*0=b",
        "multipart/form-data; boundary*=" + "a" * 60_000,
        "multipart/form-data; boundary=\xff",
    ],
    ids=["a parameter in parts", "a boundary in parts", "a boundary without end", "a boundary of no ASCII"],
)
def test_malformed_content_types_are_client_errors(client: TestClient, content_type: str) -> None:
    headers = {"Content-Type": content_type.encode("latin-1")}
    response = client.post("/v1/screen", content=b"\xff\xd8\xff broken", headers=headers)
    assert 400 <= response.status_code < 500, response.text
    assert response.json()["type"].startswith("/problems/")


def test_a_field_name_in_parts_is_rejected(client: TestClient) -> None:
    part = PART.replace(b'name="image"', b"name*=a; name*0=b")
    headers = {"Content-Type": B}
    check(client.post("/v1/screen", content=part + small() + b"\r\n--x--\r\n", headers=headers), 400, "body")


B = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
NO_TEXT = PART.replace(b"image", b"mirrored") + b"\xff\r\n" + PART + b"z\r\n--x--\r\n"
FORMS = [
    ("no boundary", "multipart/form-data", PART + small() + b"\r\n--x--\r\n", "body"),
    ("another boundary", "multipart/form-data; boundary=y", PART + small() + b"\r\n--x--\r\n", "body"),
    ("no field image", B, PART.replace(b"image", b"photo") + small() + b"\r\n--x--\r\n", "body"),
    ("two images", B, (PART + small() + b"\r\n") * 2 + b"--x--\r\n", "parameter"),
    ("cut short", B, PART + small(), "body"),
    ("nothing", B, b"", "body"),
    ("a part without a name", B, b"--x\r\nContent-Type: a/b\r\n\r\nz\r\n--x--\r\n", "body"),
    ("forty parts", B, PART.replace(b"image", b"z") * 40, "body"),
    ("a field that is not text", B, NO_TEXT, "body"),
    ("a header without end", B, b"--x\r\nA: " + b"b" * 100_000, "body"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "content_type", "body", "kind"), FORMS, ids=[f[0] for f in FORMS])
def test_malformed_forms_are_problems(
    client: TestClient, reason: str, content_type: str, body: bytes, kind: str
) -> None:
    check(client.post("/v1/screen", content=body, headers={"Content-Type": content_type}), 400, kind)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "kind"),
    [
        ("GET", "/v1/screen", {}, 405, "method"),
        ("DELETE", "/metrics", {}, 405, "method"),
        ("OPTIONS", "/v1/screen", {}, 405, "method"),
        ("GET", "/nowhere", {}, 404, "not-found"),
        ("GET", "/v1/screen/", {}, 404, "not-found"),
        ("GET", "/static/../app.py", {}, 404, "not-found"),
        ("GET", "/static/%2e%2e/app.py", {}, 404, "not-found"),
        ("GET", "/docs.json", {}, 404, "not-found"),  # BentoML's own
        ("GET", "/healthz", {}, 404, "not-found"),
        ("GET", "/schema.json", {}, 404, "not-found"),
        ("GET", "/problems/nothing", {}, 404, "not-found"),
        ("POST", "/v1/screen", PNG | {"Accept": "text/html"}, 406, "not-acceptable"),
        ("POST", "/v1/screen", PNG | {"Accept": "application/json;q=0"}, 406, "not-acceptable"),
    ],
)
def test_other_client_errors_are_problems(
    client: TestClient, method: str, path: str, headers: dict[str, str], status: int, kind: str
) -> None:
    response = client.request(method, path, headers=headers, content=small() if method == "POST" else None)
    check(response, status, kind)
    if status == 405:
        assert response.headers["allow"]


def test_every_problem_type_is_described_at_its_address(client: TestClient) -> None:
    for kind, known in PROBLEM_TYPES.items():
        answer = client.get(f"/problems/{kind}").json()
        assert answer == {"type": f"/problems/{kind}", **known._asdict()}


def test_several_faces_are_rejected_for_a_dicom_report(client: TestClient, photo: Photo) -> None:
    two = encode(np.hstack([photo.image, draw_face(seed=4, size=(640, 560), canthal_px=220.0).image]), ".png")
    headers = PNG | {"Accept": "application/dicom"}
    check(client.post("/v1/screen", content=two, headers=headers), 422, "several-faces")
    # Nor is the more certain one of them: it need not be the patient's.
    one = client.post("/v1/screen", content=two, headers=headers, params={"max_faces": 1})
    check(one, 422, "several-faces")
    plain = client.post("/v1/screen", content=two, headers=PNG, params={"max_faces": 1}).json()
    assert (len(plain["faces"]), plain["omitted"]) == (1, 1)
    fhir = client.post(
        "/v1/screen",
        files={"image": ("", two, "image/png")},
        data={"subject": "Patient/42", "max_faces": "1"},
        headers={"Accept": "application/fhir+json"},
    ).json()
    (report,) = (r["resource"] for r in fhir["entry"] if r["resource"]["resourceType"] == "DiagnosticReport")
    assert "subject" not in report
    assert report["conclusion"].startswith("Face 1 of 2")


def test_a_subject_is_accepted_for_fhir_only(client: TestClient, photo: Photo) -> None:
    def ask(subject: str, accept: str) -> Any:
        return client.post(
            "/v1/screen", files={"image": photo.png}, data={"subject": subject}, headers={"Accept": accept}
        )

    fhir = ask("Patient/17", "application/fhir+json")
    assert fhir.status_code == 200
    assert "Patient/17" in fhir.text
    assert check(ask("Patient/17", "application/json"), 400, "parameter")["parameter"] == "subject"
    wrong = check(ask("Mrs Somebody", "application/fhir+json"), 400, "parameter")
    assert "Somebody" not in wrong["detail"]


def test_a_picture_without_a_face_is_answered(client: TestClient, blank: bytes) -> None:
    response = client.post("/v1/screen", content=blank, headers=PNG)
    assert response.status_code == 200
    assert response.json()["faces"] == []
    assert "No face was found" in response.json()["empty"]


def test_an_internal_error_reveals_nothing_of_the_picture(
    make_client: ClientFactory,
    photo: Photo,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("SECRET content")

    monkeypatch.setattr("serving.screen.screen", fails)
    response = make_client().post("/v1/screen", content=photo.png, headers=PNG)
    document = check(response, 500, "internal")
    assert "SECRET" not in json.dumps(document) + caplog.text
    assert "RuntimeError" in caplog.text
    assert response.headers["x-request-id"] in caplog.text


def test_limits_are_settings(make_client: ClientFactory, photo: Photo) -> None:
    check(make_client(pixels=1000).post("/v1/screen", content=photo.png, headers=PNG), 413, "too-large")
    check(make_client(body_bytes=1000).post("/v1/screen", content=photo.png, headers=PNG), 413, "too-large")


VARIANTS = [
    "CMYK JPEG",
    "grey JPEG",
    "progressive JPEG",
    "JPEG with a second picture (MPO)",
    "JPEG with bytes behind its end",
    "16-bit grey PNG",
    "16-bit PNG",
    "PNG with alpha",
    "palette PNG",
]


@pytest.fixture(scope="module")
def variants(photo: Photo) -> dict[str, bytes]:
    """The photograph in every sub-kind that is taken."""
    image = photo.image
    picture = Image.fromarray(image)
    grey = image[..., 1].astype(np.uint16) * 257

    def save(kind: str, how: Image.Image = picture, **options: Any) -> bytes:
        buffer = io.BytesIO()
        how.save(buffer, kind, **options)
        return buffer.getvalue()

    return {
        "CMYK JPEG": save("JPEG", picture.convert("CMYK")),
        "grey JPEG": save("JPEG", picture.convert("L")),
        "progressive JPEG": save("JPEG", progressive=True),
        "JPEG with a second picture (MPO)": save("MPO", save_all=True, append_images=[picture.rotate(3)]),
        "JPEG with bytes behind its end": save("JPEG") + bytes(1000),
        "16-bit grey PNG": save("PNG", Image.fromarray(grey)),
        "16-bit PNG": cv2.imencode(".png", image[..., ::-1].astype(np.uint16) * 257)[1].tobytes(),
        "PNG with alpha": save("PNG", picture.convert("RGBA")),
        "palette PNG": save("PNG", picture.convert("P", palette=Image.Palette.ADAPTIVE)),
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_every_kind_of_jpeg_and_png_is_read(
    client: TestClient, photo: Photo, variants: dict[str, bytes], name: str
) -> None:
    response = client.post("/v1/screen", content=variants[name], headers=JPEG)
    assert response.status_code == 200, response.text
    (face,) = response.json()["faces"]
    (plain,) = client.post("/v1/screen", content=photo.png, headers=PNG).json()["faces"]
    eyes = [np.array([f["landmarks"][n] for n in f["landmarks"] if "eye" in n]) for f in (face, plain)]
    assert np.abs(eyes[0] - eyes[1]).max() < 6  # px, of 220 between the canthi


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (3, 2000), (1_000_000, 1), (1, 60_000), (40, 40)], ids=str
)
def test_odd_shapes_have_no_face(client: TestClient, width: int, height: int) -> None:
    buffer = io.BytesIO()
    Image.new("L", (width, height), 100).save(buffer, "PNG")
    response = client.post("/v1/screen", content=buffer.getvalue(), headers=PNG)
    assert response.status_code == 200, response.text
    assert response.json()["faces"] == []


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_content_encoding_of_a_picture_is_refused_by_name(client: TestClient, coding: str) -> None:
    answer = client.post("/v1/screen", content=small(), headers=PNG | {"Content-Encoding": coding})
    assert f"'{coding}'" in check(answer, 415, "media-type")["detail"]
    assert answer.headers["accept-encoding"] == "identity"


def test_accept_in_two_lines_is_one_list(client: TestClient, blank: bytes) -> None:
    headers = [("Content-Type", "image/png"), ("Accept", "text/html"), ("Accept", "application/fhir+json")]
    answer = client.post("/v1/screen", content=blank, headers=headers)
    assert answer.headers["content-type"] == "application/fhir+json"
