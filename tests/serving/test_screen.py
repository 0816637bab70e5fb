"""``POST /v1/screen``: what goes in, what comes out."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from lidloop.landmarks import NAMES
from lidloop.screening.measurements import NOTICE
from tests.serving.conftest import ClientFactory, Photo, Server, encode

JPEG = {"Content-Type": "image/jpeg"}
PNG = {"Content-Type": "image/png"}


def screened(client: TestClient, data: bytes, **params: Any) -> dict[str, Any]:
    response = client.post("/v1/screen", content=data, headers=PNG, params=params)
    assert response.status_code == 200, response.text
    return response.json()


def across(face: dict[str, Any], side: str) -> float:
    """Horizontal position of an eye in the picture."""
    lids = face["eyes"][side]["lids"]
    return float(np.mean([x for x, _ in lids["upper"] + lids["lower"]]))


def test_a_photograph_is_screened(client: TestClient, photo: Photo) -> None:
    response = client.post("/v1/screen", content=photo.jpeg, headers=JPEG)
    assert response.status_code == 200, response.text
    answer = response.json()
    (face,) = answer["faces"]
    assert tuple(face["landmarks"]) == NAMES
    assert across(face, "OD") < across(face, "OS")  # the patient's right eye is at the picture's left
    assert answer["notice"] == NOTICE
    assert answer["model"]["iteration"] == 2
    assert answer["request_id"] == response.headers["x-request-id"]
    assert answer["image"] == {"width": 640, "height": 560, "mirrored": False}
    assert answer["empty"] is None


@pytest.mark.parametrize("how", ["as a form", "under the other picture's type"])
def test_a_form_and_a_plain_body_give_the_same(client: TestClient, photo: Photo, how: str) -> None:
    plain = screened(client, photo.png)
    if how == "as a form":
        other = client.post("/v1/screen", files={"image": ("a.png", photo.png, "image/png")}).json()
    else:
        other = client.post("/v1/screen", content=photo.png, headers=JPEG).json()
    assert other["faces"] == plain["faces"]


def test_options_in_the_query_string_and_in_the_form_are_equal(client: TestClient, photo: Photo) -> None:
    options = {"mirrored": "true", "mm_per_px": "0.4", "max_faces": "1", "pupils": '{"OS": [230, 270.5]}'}
    form = client.post("/v1/screen", files={"image": photo.png}, data=options)
    assert form.status_code == 200, form.text
    assert form.json()["faces"] == screened(client, photo.png, **options)["faces"]
    scale = form.json()["faces"][0]["scale"]
    assert (scale["method"], scale["mm_per_px"]) == ("given", 0.4)


def test_a_given_pupil_gives_mrd(client: TestClient, photo: Photo) -> None:
    (x, y), right = photo.truth.pupils["left"], photo.truth.pupils["right"]

    def eyes(lower: float) -> dict[str, Any]:
        pupils = f'{{"OD": [{x}, {y + lower}], "OS": [{right[0]}, {right[1]}]}}'
        (face,) = screened(client, photo.png, pupils=pupils)["faces"]
        assert {eye["pupil"]["method"] for eye in face["eyes"].values()} == {"given"}
        return face["eyes"]

    before, after = eyes(0), eyes(3)
    assert after["OD"]["mrd1"]["px"] == pytest.approx(before["OD"]["mrd1"]["px"] + 3, abs=0.3)
    assert after["OS"]["mrd1"] == before["OS"]["mrd1"]


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels as stored, so that the orientation (EXIF 2.32, tag 274) makes them upright again."""
    return {
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: image.transpose(1, 0, 2),
        6: image.transpose(1, 0, 2)[::-1],
        7: image.transpose(1, 0, 2)[::-1, ::-1],
        8: image.transpose(1, 0, 2)[:, ::-1],
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_every_exif_orientation_gives_the_same_measurements(
    client: TestClient, photo: Photo, kind: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    pixels = np.ascontiguousarray(turned(photo.image, orientation))
    Image.fromarray(pixels).save(
        buffer, kind, exif=exif, **({"quality": 100, "subsampling": 0} if kind == "JPEG" else {})
    )
    answer = screened(client, buffer.getvalue())
    plain = screened(client, photo.png)
    assert answer["image"] == plain["image"]
    if kind == "PNG":
        assert answer["faces"] == plain["faces"]
        return
    for side in ("OD", "OS"):  # JPEG's blocks lie elsewhere in a turned picture
        for name in ("pfh", "width", "brow_lid"):
            found = [a["faces"][0]["eyes"][side][name]["px"] for a in (answer, plain)]
            assert found[0] == pytest.approx(found[1], abs=0.5), (side, name)


def test_a_mirrored_picture_has_the_same_sides(client: TestClient, photo: Photo) -> None:
    (plain,) = screened(client, photo.png)["faces"]
    mirrored = screened(client, encode(photo.image[:, ::-1], ".png"), mirrored="true")
    (face,) = mirrored["faces"]
    assert mirrored["image"]["mirrored"] is True
    for side in ("OD", "OS"):
        for name in ("pfh", "width"):
            a, b = face["eyes"][side][name]["px"], plain["eyes"][side][name]["px"]
            assert a == pytest.approx(b, abs=3), (side, name)  # the network sees another picture
        assert across(face, side) == pytest.approx(639 - across(plain, side), abs=6)
    unsaid = screened(client, encode(photo.image[:, ::-1], ".png"))["faces"][0]
    assert across(unsaid, "OS") == pytest.approx(across(face, "OD"), abs=0.1)


def test_pupils_in_the_eyes_of_the_other_side_are_refused(client: TestClient, photo: Photo) -> None:
    (x, y) = photo.truth.pupils["left"]

    def ask(side: str, **more: str) -> Any:
        params = {"pupils": f'{{"{side}": [{x}, {y}]}}', **more}
        return client.post("/v1/screen", content=photo.png, headers=PNG, params=params)

    assert ask("OD").status_code == 200
    assert ask("OS", mirrored="true").status_code == 200
    for exchanged in (ask("OS"), ask("OD", mirrored="true")):
        assert exchanged.status_code == 400
        assert exchanged.json()["parameter"] == "pupils"
        assert "mirrored" in exchanged.json()["detail"]


def test_a_pupil_in_no_eye_is_a_warning(client: TestClient, photo: Photo, blank: bytes) -> None:
    def ask(picture: bytes, pupils: str, accept: str = "application/json") -> Any:
        headers = PNG | {"Accept": accept}
        return client.post("/v1/screen", content=picture, headers=headers, params={"pupils": pupils})

    (x, y) = photo.truth.pupils["left"]
    both = f'{{"OD": [{x}, {y}], "OS": [5, 5]}}'
    text = "the pupil given as OS lies in no eye of that side and was not used"
    assert ask(photo.png, both).json()["warnings"] == [{"code": "pupil-unused", "text": text}]
    assert ask(photo.png, f'{{"OD": [{x}, {y}]}}').json()["warnings"] == []
    assert len(ask(blank, '{"OD": [5, 5], "OS": [9, 9]}').json()["warnings"]) == 2
    for picture, pupils in ((photo.png, both), (blank, '{"OS": [5, 5]}')):
        bundle = ask(picture, pupils, "application/fhir+json").json()
        kinds = {e["resource"]["resourceType"]: e["resource"] for e in bundle["entry"]}
        assert text.removeprefix("the") in kinds["DiagnosticReport"]["conclusion"]
        assert text.encode() in ask(picture, pupils, "application/dicom").content


def test_thresholds_are_settings(make_client: ClientFactory, photo: Photo) -> None:
    pupils = {side: list(photo.truth.pupils[eye]) for side, eye in (("OD", "left"), ("OS", "right"))}
    ask = {"params": {"mm_per_px": "0.4", "pupils": str(pupils).replace("'", '"')}, "headers": PNG}

    def level(**thresholds: float) -> str:
        response = make_client(**thresholds).post("/v1/screen", content=photo.png, **ask)
        return response.json()["faces"][0]["flag"]["level"]

    assert level(mrd1_functional=20.0, mrd1_suspicious=25.0) == "functional"
    assert level(mrd1_functional=0.001, mrd1_suspicious=0.002, asymmetry=50.0) == "none"


def test_thresholds_may_be_given_with_a_picture(client: TestClient, photo: Photo) -> None:
    """In the address or in the form; the sentence of the flag names the threshold."""

    def flag(**asked: Any) -> dict[str, Any]:
        response = client.post("/v1/screen", **asked)
        assert response.status_code == 200, response.text
        return response.json()["faces"][0]["flag"]

    png, form = {"content": photo.png, "headers": PNG}, {"files": {"image": photo.png}}
    usual = flag(**png)
    assert usual["sides"] == ["OD"]
    assert any("threshold from 1.1 mm" in reason["text"] for reason in usual["reasons"])
    off = {"asymmetry": "50", "mrd1_suspicious": "0.001"}
    assert flag(**png, params=off)["level"] == flag(**form, data=off)["level"] == "none"
    for value in ("0", "-1", "nan", "101", "x"):
        refused = client.post("/v1/screen", **png, params={"asymmetry": value})
        assert (refused.status_code, refused.json()["parameter"]) == (400, "asymmetry")


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/fhir+json", "application/fhir+json"),
        ("application/json;q=0.5, application/fhir+json", "application/fhir+json"),
        ("application/dicom;q=0.9, */*;q=0.1", "application/dicom"),
        ("text/html, application/*;q=0.2", "application/json"),
        ("application/json;q=0, */*", "application/fhir+json"),
    ],
)
def test_accept_is_negotiated(client: TestClient, blank: bytes, accept: str, answered: str) -> None:
    response = client.post("/v1/screen", content=blank, headers=PNG | {"Accept": accept})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == answered


def damaged(jpeg: bytes) -> bytes:
    """A JPEG with bytes at the end of its data that are not needed."""
    return jpeg[:-2] + b"\x12\x34" * 8 + jpeg[-2:]


def test_a_doubtful_file_is_measured_with_a_warning_in_every_answer(client: TestClient, photo: Photo) -> None:
    def ask(accept: str) -> Any:
        headers = JPEG | {"Accept": accept}
        return client.post("/v1/screen", content=damaged(photo.jpeg), headers=headers)

    answer = ask("application/json").json()
    (warning,) = answer["warnings"]
    (face,) = answer["faces"]
    assert warning["code"] == "damaged"
    assert warning in face["quality"]["problems"]
    assert face["flag"]["level"] != "none"
    sound = screened(client, photo.jpeg)["faces"][0]
    assert face["eyes"] == sound["eyes"]
    bundle = ask("application/fhir+json").json()
    report = next(e["resource"] for e in bundle["entry"] if "conclusion" in e["resource"])
    assert report["conclusion"].count(warning["text"][1:]) == 1
    assert ask("application/dicom").content.count(warning["text"].encode()) == 1


def test_a_jpeg_that_the_decoder_calls_damaged_is_refused(client: TestClient, photo: Photo) -> None:
    broken = photo.jpeg[: len(photo.jpeg) // 2] + b"\xff\xd9"  # its data end in the middle
    response = client.post("/v1/screen", content=broken, headers=JPEG)
    assert (response.status_code, response.json()["type"]) == (422, "/problems/picture")


def test_a_large_jpeg_is_answered_in_pixels_of_the_file(make_client: ClientFactory, photo: Photo) -> None:
    """Decoded at five eighths, where the limit of pixels asks for it; scale and pupils are of the file."""
    pupils = {side: list(photo.truth.pupils[eye]) for side, eye in (("OD", "left"), ("OS", "right"))}
    params = {"mm_per_px": "0.4", "pupils": json.dumps(pupils)}
    full, reduced = (
        client.post("/v1/screen", content=photo.jpeg, headers=JPEG, params=params).json()
        for client in (make_client(), make_client(pixels=150_000))
    )
    assert reduced["image"] == full["image"] == {"width": 640, "height": 560, "mirrored": False}
    (a,), (b,) = full["faces"], reduced["faces"]
    assert b["box"] == pytest.approx(a["box"], abs=6)
    assert b["scale"] == a["scale"]
    for side in ("OD", "OS"):
        assert b["eyes"][side]["pupil"]["x"] == pytest.approx(a["eyes"][side]["pupil"]["x"], abs=0.02)
        for name in ("pfh", "width", "mrd1"):
            pair = [x["eyes"][side][name]["px"] for x in (a, b)]
            assert pair[1] == pytest.approx(pair[0], abs=4), (side, name)
            assert b["eyes"][side][name]["mm"] == pytest.approx(0.4 * pair[1], abs=0.01)
    png = make_client(pixels=150_000).post("/v1/screen", content=photo.png, headers=PNG)
    assert (png.status_code, png.json()["limit"]) == (413, 150_000)


def test_a_heic_is_screened(client: TestClient, photo: Photo) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(photo.image)).save(out, quality=95)
    headers = {"Content-Type": "image/heic"}
    response = client.post("/v1/screen", content=out.getvalue(), headers=headers)
    assert response.status_code == 200, response.text
    (face,), (plain,) = response.json()["faces"], screened(client, photo.png)["faces"]
    for side in ("OD", "OS"):
        assert face["eyes"][side]["width"]["px"] == pytest.approx(plain["eyes"][side]["width"]["px"], abs=3)


def test_a_motion_photo_is_screened_as_its_jpeg(client: TestClient, photo: Photo) -> None:
    video = bytes([0, 0, 0, 24]) + b"ftypmp42" + b"\xff\xda\x00\x08" * 2000
    assert screened(client, photo.jpeg + video)["faces"] == screened(client, photo.jpeg)["faces"]


def test_a_dicom_data_set_without_preamble_is_named(client: TestClient) -> None:
    headers = {"Content-Type": "application/dicom"}
    bare = b"\x08\0\x05\0CS\n\0ISO_IR 100"
    response = client.post("/v1/screen", content=bare + bytes(200), headers=headers)
    assert response.status_code == 415
    assert "without the preamble" in response.json()["detail"]


def test_every_answer_has_security_headers(client: TestClient, blank: bytes) -> None:
    for response in (
        client.get("/"),
        client.get("/nowhere"),
        client.get("/metrics"),
        client.post("/v1/screen", content=blank, headers=PNG),
    ):
        headers = response.headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
    assert response.headers["cache-control"] == "no-store"


def test_a_running_server_answers(server: Server, photo: Photo) -> None:
    response = httpx.post(f"{server.url}/v1/screen", files={"image": photo.jpeg})
    assert response.status_code == 200
    assert len(response.json()["faces"]) == 1
    assert "server" not in response.headers
