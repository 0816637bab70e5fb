"""The page in a browser: input, result, drawing, pupils by hand, and export."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from lidloop.screening.figures import figure
from serving.settings import Settings
from tests.serving.conftest import Photo, encode
from tests.serving.page.conftest import App, VisitFactory

LENGTHS = {"mrd1": "MRD1", "mrd2": "MRD2", "pfh": "PFH", "width": "Width", "brow_lid": "Brow–lid"}


def said(value: float, *, signed: bool = False) -> str:
    """Format a number as the page does: one decimal, halves away from zero."""
    rounded = Decimal(repr(value)).quantize(Decimal("0.1"), ROUND_HALF_UP)
    return f"{rounded:{'+' if signed else ''}}".replace("-", "−") if rounded else "0.0"


def cell(length: dict[str, Any] | None, *, signed: bool = False) -> str:
    if length is None:
        return "–"
    band = "" if length["mm_error"] is None else f" ± {said(length['mm_error'])}"
    return (
        f"{said(length['mm'], signed=signed)} mm{band}\n"
        f"{said(length['px'], signed=signed)} px · {length['method']}"
    )


def expected_rows(face: dict[str, Any]) -> dict[str, list[str]]:
    rows = {}
    for key in LENGTHS:
        eyes = [cell(face["eyes"][side].get(key)) for side in ("OD", "OS")]
        rows[key] = [*eyes, cell(face["differences"].get(key), signed=True)]
    ratios = [face["eyes"][side]["height_to_width"] for side in ("OD", "OS")]
    rows["height_to_width"] = ["–" if r is None else f"{r:.2f}" for r in ratios] + ["–"]
    return rows


def put(page: Page, event: str, file: bytes, kind: str) -> None:
    """Drop or paste a file."""
    page.evaluate(
        """([event, data, kind]) => {
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], "secret name.jpg", {type: kind}));
          const init = {bubbles: true, cancelable: true};
          const made = event === "paste"
            ? new ClipboardEvent("paste", {...init, clipboardData: transfer})
            : new DragEvent("drop", {...init, dataTransfer: transfer});
          document.querySelector("#drop").dispatchEvent(made);
        }""",
        [event, base64.b64encode(file).decode(), kind],
    )


def test_the_result_shows_the_answer_of_the_api(app: App, visit: VisitFactory, photo: Photo) -> None:
    face = app.post(photo.jpeg).json()["faces"][0]
    on = visit()
    on.choose(photo.jpeg)
    shown = on.rows()
    for key, cells in expected_rows(face).items():
        for side, got, expected in zip(("OD", "OS", "difference"), shown[key], cells, strict=True):
            if side != "difference" and key in face["eyes"][side]["withheld"]:
                assert got.startswith("withheld"), (key, side)
                assert face["eyes"][side]["withheld"][key]["text"][1:] in on.text(".why")
            else:
                assert got == expected, (key, side)
    for reason in face["flag"]["reasons"]:
        assert reason["text"][1:] in on.text(".flag")
    assert on.text(".flag .hint") == app.post(photo.jpeg).json()["notice"]
    assert f"{face['scale']['mm_per_px']:#.3g} mm per pixel" in on.text(".scale")


def test_right_and_left_are_those_of_the_patient(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    on.choose(photo.jpeg)
    pfh = [float(cell.split(" mm")[0]) for cell in on.rows()["pfh"][:2]]
    assert pfh[0] < pfh[1]  # the low lid was drawn at the left of the picture: the right eye of the patient
    captions = on.page.locator("figcaption").all_inner_texts()
    assert [" ".join(c.split()) for c in captions] == [
        "Right eye · OD at the picture’s left", "Left eye · OS at the picture’s right",
    ]  # fmt: skip
    for layer in ("lids", "iris", "lines", "points"):
        on.page.uncheck(f"#layer-{layer}")
    for side, at in (("OD", "left"), ("OS", "right")):
        assert found_in(on.pixels(f"[data-side={side}] canvas"), photo, at) > 0.95


def found_in(closeup: np.ndarray, photo: Photo, at: str) -> float:
    """Best correlation of the surroundings of an eye in the photo with a close-up."""
    x, y = (round(v) for v in photo.truth.pupils[at])  # type: ignore[index]
    patch = photo.image[y - 15 : y + 16, x - 25 : x + 26]
    best = 0.0
    for scale in np.geomspace(3.5, 8, 16):
        size = (round(closeup.shape[1] / scale), round(closeup.shape[0] / scale))
        if size[0] < 52 or size[1] < 32:
            break
        small = cv2.resize(closeup, size, interpolation=cv2.INTER_AREA)
        best = max(best, float(cv2.matchTemplate(small, patch, cv2.TM_CCOEFF_NORMED).max()))
    return best


def test_a_mirrored_picture_names_the_same_eyes(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    on.page.check("#mirrored")
    on.choose(encode(np.ascontiguousarray(photo.image[:, ::-1]), ".jpg"))
    pfh = [float(cell.split(" mm")[0]) for cell in on.rows()["pfh"][:2]]
    assert pfh[0] < pfh[1]
    assert (
        "OS" in on.page.locator("figcaption").first.inner_text()
    )  # close-ups are in the order of the picture
    assert "at the picture’s right" in on.page.locator("figcaption", has_text="OD").inner_text()
    on.again(lambda: on.page.uncheck("#mirrored"))
    pfh = [float(cell.split(" mm")[0]) for cell in on.rows()["pfh"][:2]]
    assert pfh[0] > pfh[1]


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(app: App, visit: VisitFactory, photo: Photo, way: str) -> None:
    on = visit()
    put(on.page, way, photo.jpeg, "image/jpeg")
    on.settled()
    assert on.rows()["pfh"][0] == cell(app.post(photo.jpeg).json()["faces"][0]["eyes"]["OD"]["pfh"])
    (request,) = on.sent
    assert request.headers["content-type"] == "image/jpeg"
    assert "secret" not in request.url + json.dumps(request.all_headers())  # no file name leaves the browser


def turned(image: np.ndarray, orientation: int) -> bytes:
    """A JPEG that is upright only by its EXIF orientation."""
    stored = {
        1: image, 2: image[:, ::-1], 3: image[::-1, ::-1], 4: image[::-1], 5: image.transpose(1, 0, 2),
        6: np.rot90(image, 1), 7: image.transpose(1, 0, 2)[::-1, ::-1], 8: np.rot90(image, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(stored)).save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


def test_exif_orientation_is_applied_as_on_the_server(visit: VisitFactory, photo: Photo) -> None:
    """Browser and server apply the EXIF orientation in the same way."""
    on = visit()
    on.choose(photo.jpeg)
    for layer in ("lids", "iris", "lines", "points"):
        on.page.uncheck(f"#layer-{layer}")

    def widths() -> list[float]:
        return [float(cell.split()[0]) for cell in on.rows()["width"][:2]]

    upright = widths()
    for orientation in range(1, 9):
        on.choose(turned(photo.image, orientation))
        assert on.page.locator("#eyes").is_visible(), orientation
        drawn = cv2.resize(on.pixels("#photo"), photo.image.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(drawn.astype(float) - photo.image).mean() < 3, orientation
        # JPEG compression of a rotated image differs slightly, and lids are found in the pixels.
        assert widths() == pytest.approx(upright, abs=0.2), orientation


def test_pupils_are_given_by_clicking(
    visit: VisitFactory, dotted: tuple[bytes, dict[str, tuple[float, float]]]
) -> None:
    file, dots = dotted
    on = visit()
    on.choose(file, "dotted.png")
    on.page.click("#pupils-set")
    assert on.page.locator("#pupils-apply").is_disabled()
    for side in dots:
        box = f"[data-side={side}]"
        pixels = on.pixels(f"{box} canvas").astype(int)
        ys, xs = np.nonzero((pixels[..., 0] > 200) & (pixels[..., 1] < 80) & (pixels[..., 2] > 200))
        size = on.page.locator(box).bounding_box()
        assert size is not None
        ratio = pixels.shape[1] / size["width"]
        on.page.locator(box).click(
            position={"x": (float(xs.mean()) + 0.5) / ratio, "y": (float(ys.mean()) + 0.5) / ratio}
        )
        assert f"{side} at" in on.text("#pupils-placed")
    on.again(lambda: on.page.click("#pupils-apply"))
    sent = json.loads(httpx.URL(on.sent[-1].url).params["pupils"])
    for side, dot in dots.items():
        assert sent[side] == pytest.approx(dot, abs=0.4), side
    assert on.rows()["mrd1"][0].count(" mm") == 1
    on.page.click("text=About this answer")
    assert on.text(".about").count("set by hand") == 2
    # A pupil keeps its position when the sides are swapped.
    on.again(lambda: on.page.check("#mirrored"))
    swapped = json.loads(httpx.URL(on.sent[-1].url).params["pupils"])
    assert swapped == {"OD": sent["OS"], "OS": sent["OD"]}
    on.again(lambda: on.page.click("#pupils-forget"))
    assert "pupils" not in httpx.URL(on.sent[-1].url).params


def test_an_unused_pupil_gives_a_note(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    on.choose(photo.jpeg)
    on.page.click("#pupils-set")
    on.page.locator("[data-side=OS]").click(position={"x": 5, "y": 5})
    on.again(lambda: on.page.click("#pupils-apply"))
    assert on.text("#pupils-unused").startswith("The pupil set for OS is not")
    on.again(lambda: on.page.click("#pupils-forget"))
    assert on.page.locator("#pupils-unused").is_hidden()


@pytest.mark.parametrize("mirrored", [False, True])
def test_lines_are_drawn_at_the_measured_positions(
    app: App, visit: VisitFactory, photo: Photo, two_faces: bytes, mirrored: bool
) -> None:
    """Every line has the length of its figure, and heights end on the lid margins."""
    on = visit()
    checked = set()
    for picture in (photo.jpeg, two_faces):
        url = f"{app.url}/v1/screen?mirrored={str(mirrored).lower()}"
        for face in httpx.post(url, content=picture, headers={"Content-Type": "image/jpeg"}).json()["faces"]:
            for side, eye in face["eyes"].items():
                drawn = on.page.evaluate(
                    "async (given) => (await import('/static/geometry.js')).lines(...given)",
                    [face, side, mirrored],
                )
                assert {line["name"] for line in drawn} == set(LENGTHS) - set(eye["withheld"])
                for line in drawn:
                    start, end = np.array(line["from"]), np.array(line["to"])
                    length = float(np.linalg.norm(end - start))
                    assert length == pytest.approx(abs(eye[line["name"]]["px"]), abs=0.1), line["name"]
                    if line["name"] in ("mrd1", "mrd2"):
                        lid = np.array(eye["lids"]["upper" if line["name"] == "mrd1" else "lower"])
                        assert distance(end, lid) < 0.3, line["name"]
                    checked.add((line["name"], eye[line["name"]]["method"]))
    assert {("mrd1", "pixels"), ("width", "pixels"), ("brow_lid", "landmarks")} <= checked


def distance(point: np.ndarray, line: np.ndarray) -> float:
    """Distance from a point to a polyline."""
    start, along = line[:-1], np.diff(line, axis=0)
    share = ((point - start) * along).sum(axis=1) / (along**2).sum(axis=1)
    nearest = start + np.clip(share, 0, 1)[:, None] * along
    return float(np.linalg.norm(point - nearest, axis=1).min())


def test_one_of_several_faces_is_chosen(app: App, visit: VisitFactory, two_faces: bytes) -> None:
    faces = app.post(two_faces).json()["faces"]
    assert len(faces) == 2
    on = visit()
    on.choose(two_faces)
    assert on.rows()["width"] == expected_rows(faces[0])["width"]
    on.page.get_by_role("radio", name="Face 2").check()
    assert on.rows()["width"] == expected_rows(faces[1])["width"]
    assert on.page.get_by_role("radio", name="Face 2").is_checked()
    # By clicking on it in the picture.
    size = on.page.locator("#photo").bounding_box()
    assert size is not None
    x = (faces[0]["box"][0] + faces[0]["box"][2]) / 2 * size["width"] / 920
    y = (faces[0]["box"][1] + faces[0]["box"][3]) / 2 * size["height"] / 480
    on.page.locator("#photo").click(position={"x": x, "y": y})
    assert on.rows()["width"] == expected_rows(faces[0])["width"]
    on.page.click("text=More")
    on.page.fill("#max-faces", "1")
    on.again(lambda: on.page.press("#max-faces", "Enter"))
    assert on.page.get_by_role("radio").count() == 0


def test_a_scale_is_given(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    on.choose(photo.jpeg)
    on.page.fill("#mm-per-px", "0,4")  # decimal comma
    on.again(lambda: on.page.press("#mm-per-px", "Enter"))
    assert httpx.URL(on.sent[-1].url).params["mm_per_px"] == "0.4"
    assert "0.400 mm per pixel, as given" in on.text(".scale")
    # An invalid number gives an error beside its field, and the old result is removed.
    requests = len(on.sent)
    on.page.fill("#mm-per-px", "twelve")
    on.page.press("#mm-per-px", "Enter")
    assert "A number from 0.0001 to 10" in on.text("#mm-error")
    assert on.page.locator("#mm-per-px").get_attribute("aria-invalid") == "true"
    assert on.page.locator("#result").is_hidden()
    assert len(on.sent) == requests


def test_a_closeup_zooms_and_moves(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    on.choose(photo.jpeg)
    whole = on.pixels("[data-side=OD] canvas")
    on.page.locator("#zoom").fill("4")
    near = on.pixels("[data-side=OD] canvas")
    assert np.abs(near.astype(float) - whole).mean() > 5
    box = on.page.locator("[data-side=OD]")
    size = box.bounding_box()
    assert size is not None
    on.page.mouse.move(size["x"] + 80, size["y"] + 60)
    on.page.mouse.down()
    on.page.mouse.move(size["x"] + 120, size["y"] + 60, steps=4)
    on.page.mouse.up()
    ratio = near.shape[1] / size["width"]
    shift = round(40 * ratio)
    moved = on.pixels("[data-side=OD] canvas")
    assert (
        np.abs(moved[:, shift:].astype(float) - near[:, :-shift]).mean() < 6
    )  # the picture follows the pointer
    box.press("0")
    assert np.abs(on.pixels("[data-side=OD] canvas").astype(float) - whole).mean() < 0.5
    assert on.page.input_value("#zoom") == "1"


def test_fhir_is_copied(app: App, visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    on.choose(photo.jpeg)
    on.again(lambda: on.page.click("#copy-fhir"))
    on.page.wait_for_function("() => document.querySelector('#copy-fhir').textContent === 'Copied'")
    copied = json.loads(on.page.evaluate("() => navigator.clipboard.readText()"))
    assert copied["resourceType"] == "Bundle"
    asked = app.post(photo.jpeg, accept="application/fhir+json").json()
    kinds = [[entry["resource"]["resourceType"] for entry in bundle["entry"]] for bundle in (copied, asked)]
    assert kinds[0] == kinds[1]


def test_fhir_is_shown_if_copying_is_not_allowed(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    on.choose(photo.jpeg)
    on.page.evaluate(
        "() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')); }"
    )
    on.page.click("#copy-fhir")
    on.page.wait_for_selector("#fhir[open]")
    assert json.loads(on.page.input_value("#fhir-text"))["resourceType"] == "Bundle"
    selected = on.page.evaluate(
        "() => document.activeElement.selectionEnd - document.activeElement.selectionStart"
    )
    assert selected == len(on.page.input_value("#fhir-text"))
    on.page.keyboard.press("Escape")
    assert on.page.locator("#fhir").is_hidden()


def test_json_is_downloaded(app: App, visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    on.choose(photo.jpeg)
    with on.page.expect_download() as download:
        on.page.click("#download-json")
    answer = json.loads(Path(download.value.path()).read_text())
    assert answer["faces"] == app.post(photo.jpeg).json()["faces"]
    assert download.value.suggested_filename == f"screening-{answer['request_id']}.json"


def test_a_photograph_is_taken_with_the_camera(visit: VisitFactory) -> None:
    on = visit()
    on.page.check("#mirrored")
    on.page.click("#take")
    on.page.wait_for_selector("#shoot:enabled")
    assert on.page.evaluate("() => document.activeElement.id") == "shoot"
    on.again(lambda: on.page.click("#shoot"))
    assert not on.page.is_checked("#mirrored")  # the preview is a mirror, the photograph is not
    pfh = [float(cell.split(" mm")[0]) for cell in on.rows()["pfh"][:2]]
    assert pfh[0] < pfh[1]
    assert on.page.evaluate("() => document.querySelector('#viewfinder').srcObject") is None
    assert on.page.locator("#camera").is_hidden()


@pytest.mark.parametrize("ending", ["#camera-close", "Escape"])
def test_the_camera_dialog_is_cancelled(visit: VisitFactory, ending: str) -> None:
    on = visit()
    on.page.evaluate(
        """() => {
          const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          navigator.mediaDevices.getUserMedia = async (what) => (window.stream = await ask(what));
        }"""
    )
    on.page.click("#take")
    on.page.wait_for_selector("#shoot:enabled")
    if ending == "Escape":
        on.page.keyboard.press("Escape")
    else:
        on.page.click(ending)
    on.page.wait_for_selector("#camera", state="hidden")
    on.page.wait_for_function(
        "() => window.stream.getTracks().every((track) => track.readyState === 'ended')"
    )
    assert on.sent == []


def test_a_large_picture_is_scaled_down_on_request(visit: VisitFactory, photo: Photo) -> None:
    """The limits are lowered below a small picture; the default ones are those of the server."""
    on = visit()
    taken = on.page.evaluate(
        """async () => {
          const {LIMIT} = await import("/static/picture.js");
          const before = {...LIMIT};
          LIMIT.pixels = LIMIT.reducedPixels = 160 * 140;
          return before;
        }"""
    )
    limits = Settings()
    assert taken == {
        "bytes": limits.body_bytes, "pixels": limits.pixels, "reducedPixels": limits.reduced_pixels,
    }  # fmt: skip
    on.page.fill("#mm-per-px", "0.4")
    on.choose(photo.jpeg)
    assert on.sent == []
    assert on.text("#message h2") == "The photograph is too large"
    assert "640 × 560 pixels" in on.text("#message")
    on.again(lambda: on.page.click("text=Scale it down to 160 × 140 and measure it"))
    assert httpx.URL(on.sent[-1].url).params["mm_per_px"] == "1.6"
    assert "scaled down to 25.0 %" in on.text("#copied")
    assert "160 × 140 pixels" in on.text("#copied")
    assert "The 0.4 mm per pixel of the file are 1.600 in the copy." in on.text("#copied")
    assert "1.60 mm per pixel, as given" in on.text(".scale")


def test_another_kind_of_picture_is_copied_as_jpeg(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    on.choose(encode(photo.image, ".webp", cv2.IMWRITE_WEBP_QUALITY, 95), "photo.webp")
    assert "does not accept this format" in on.text("#message")
    on.again(lambda: on.page.click("#message-actions .primary"))
    assert on.sent[-1].headers["content-type"] == "image/jpeg"
    assert len(on.rows()["pfh"]) == 3


def test_the_page_rounds_like_the_server(visit: VisitFactory) -> None:
    values = [k / 200 - 3 for k in range(1200)] + [0.125, 0.375, 2.675]
    on = visit()
    shown = on.page.evaluate(
        "async (values) => { const {fixed} = await import('/static/words.js');"
        " return values.map((v) => [fixed(v), fixed(v, 2)]); }",
        values,
    )
    for value, (one, two) in zip(values, shown, strict=True):
        assert [one.replace("−", "-"), two.replace("−", "-")] == [figure(value), figure(value, 2)]


def test_only_the_last_of_two_pictures_is_shown(
    visit: VisitFactory, photo: Photo, saved: Callable[..., Path]
) -> None:
    on = visit()
    mirrored = encode(np.ascontiguousarray(photo.image[:, ::-1]), ".jpg")
    on.page.set_input_files("#file", saved(mirrored, "a.jpg"))
    on.page.set_input_files("#file", saved(photo.jpeg, "b.jpg"))
    on.settled()
    pfh = [float(cell.split(" mm")[0]) for cell in on.rows()["pfh"][:2]]
    assert pfh[0] < pfh[1]
    assert on.page.locator("#message").is_hidden()
