"""Error messages of the page and their actions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from lidloop.web.api_keys import add_key
from lidloop.web.problems import Problem
from tests.serving.conftest import Photo, encode
from tests.serving.page.conftest import App, VisitFactory

AppFactory = Callable[..., App]


@pytest.mark.parametrize(
    ("file", "says", "sends"),
    [
        pytest.param(b"Dear colleague,\n", "This is not a photograph", 0, id="text"),
        pytest.param(b"", "This is not a photograph", 0, id="empty"),
        pytest.param(b"\0" * 128 + b"DICM" + b"\0" * 9, "This is a DICOM file", 0, id="dicom"),
        pytest.param(b"\xff\xd8\xff\xe0 not a JPEG after all", "damaged", 1, id="only-a-signature"),
    ],
)
def test_files_that_are_not_photographs_are_rejected(
    visit: VisitFactory, file: bytes, says: str, sends: int
) -> None:
    on = visit()
    on.choose(file, "letter.jpg")
    assert says in on.text("#message")
    assert on.page.locator("#message").get_attribute("role") == "alert"
    assert len(on.sent) == sends
    assert on.page.locator("#result").is_hidden()


def test_a_truncated_jpeg(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    on.choose(photo.jpeg)
    on.choose(photo.jpeg[: len(photo.jpeg) // 2])
    assert "The photograph is damaged" in on.text("#message h2")
    assert "The server said: " in on.text("#message-detail")
    assert on.page.locator("#result").is_hidden()  # the old result is removed
    on.choose(photo.jpeg)
    assert on.page.locator("#message").is_hidden()
    assert on.page.locator("#result").is_visible()


def test_no_face(app: App, visit: VisitFactory, blank: bytes) -> None:
    on = visit()
    on.choose(blank, "blank.png")
    assert on.text("#message h2") == "No face was found"
    assert on.text("#message-text") in app.post(blank).json()["empty"]
    assert on.page.locator("#advice").is_visible()
    assert on.page.locator("#photo").is_visible()


def test_a_stopped_server(make_app: AppFactory, visit: VisitFactory, photo: Photo) -> None:
    gone = make_app()
    on = visit(gone)
    on.choose(photo.jpeg)
    gone.stop()
    on.page.check("#mirrored")
    on.settled()
    assert on.text("#message h2") == "The server does not answer"
    assert on.page.locator("#result").is_hidden()  # the old result is removed
    assert on.page.locator("#message-actions button").inner_text() == "Try again"


def test_retry_after_being_offline(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    on.page.context.set_offline(True)
    on.choose(photo.jpeg)
    assert "This device is offline." in on.text("#message")
    on.page.context.set_offline(False)
    on.again(lambda: on.page.get_by_role("button", name="Try again").click())
    assert on.page.locator("#result").is_visible()


def test_a_server_with_keys_asks_for_one(
    make_app: AppFactory, visit: VisitFactory, photo: Photo, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    secret = add_key(keys, "page")
    on = visit(make_app(keys=str(keys)))
    on.choose(photo.jpeg)
    assert "API key or token" in on.text("#message h2")
    assert on.page.evaluate("() => document.activeElement.id") == "key"
    on.page.keyboard.type("wrong")
    on.again(lambda: on.page.keyboard.press("Enter"))
    assert "API key or token" in on.text("#message h2")
    on.page.fill("#key", secret)
    on.again(lambda: on.page.press("#key", "Enter"))
    assert on.page.locator("#result").is_visible()
    assert secret not in on.sent[-1].url
    on.page.reload()
    assert on.page.input_value("#key") == ""


@pytest.mark.parametrize(
    "changes", [{"pixels": 200_000, "reduced_pixels": 200_000}, {"body_bytes": 40_000}], ids=str
)
def test_a_smaller_copy_is_sent_to_a_server_with_lower_limits(
    make_app: AppFactory, visit: VisitFactory, photo: Photo, changes: dict[str, int]
) -> None:
    on = visit(make_app(**changes))
    on.choose(encode(photo.image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 100))
    assert "too large for this server" in on.text("#message h2")
    on.again(lambda: on.page.click("text=Make a smaller copy and send it"))
    assert on.page.locator("#result").is_visible()
    assert "A copy scaled down to " in on.text("#copied")


def test_a_limit_that_is_too_small_for_a_picture(
    make_app: AppFactory, visit: VisitFactory, photo: Photo
) -> None:
    on = visit(make_app(body_bytes=300))
    on.choose(photo.jpeg)
    on.page.click("text=Make a smaller copy and send it")
    on.page.wait_for_selector("text=No smaller copy could be made")
    assert on.page.locator("#working").is_hidden()


def test_a_busy_server(app: App, visit: VisitFactory, photo: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise Problem("busy", "3 requests are inside", headers={"Retry-After": "2"})

    on = visit()
    with monkeypatch.context() as patch:
        patch.setattr(app.starlette.state.runtime.admission, "check", full)
        on.choose(photo.jpeg)
    assert on.text("#message h2") == "The server has too much to do"
    assert on.text("#message-text") == "Try again in 2 seconds."
    on.again(lambda: on.page.get_by_role("button", name="Try again").click())
    assert on.page.locator("#result").is_visible()


@pytest.mark.parametrize(
    ("status", "says"), [(429, "too much to do"), (502, "The server failed"), (451, "unexpected")]
)
def test_an_html_error_of_a_proxy(visit: VisitFactory, photo: Photo, status: int, says: str) -> None:
    """The response is fulfilled by the test, because the server never sends one in HTML."""
    on = visit()
    on.page.route(
        "**/v1/screen*",
        lambda route: route.fulfill(status=status, content_type="text/html", body="<h1>No</h1>"),
    )
    on.choose(photo.jpeg)
    assert says in on.text("#message h2")


def test_progress_and_cancel(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    on.page.route("**/v1/screen*", lambda route: None)  # no answer comes
    with on.page.expect_request("**/v1/screen*"):
        on.page.set_input_files("#file", {"name": "a.jpg", "mimeType": "", "buffer": photo.jpeg})
    assert on.page.locator("#working").is_visible()
    assert on.page.locator("#photo").is_visible()  # the picture is there before the answer
    on.page.click("#cancel")
    on.settled()
    assert on.text("#message h2") == "Cancelled"
    on.page.unroute("**/v1/screen*")
    on.again(lambda: on.page.click("text=Measure it"))
    assert on.page.locator("#result").is_visible()


@pytest.mark.parametrize(
    ("names", "says"), [(["a", "b"], "One photograph at a time"), ([], "This is not a file")]
)
def test_drops_of_several_or_no_files_are_rejected(visit: VisitFactory, names: list[str], says: str) -> None:
    on = visit()
    on.page.evaluate(
        """(names) => {
          const transfer = new DataTransfer();
          transfer.setData("text/uri-list", "https://example.org/a.jpg");
          for (const name of names) transfer.items.add(new File(["x"], name));
          const init = {bubbles: true, cancelable: true, dataTransfer: transfer};
          document.body.dispatchEvent(new DragEvent("drop", init));
        }""",
        names,
    )
    assert on.text("#message h2") == says
    assert on.sent == []


def test_a_missing_camera_gives_a_message(visit: VisitFactory) -> None:
    on = visit()
    on.page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('none'); }; }"
    )
    on.page.click("#take")
    on.page.wait_for_selector("#message:not([hidden])")
    assert on.text("#message h2") == "The camera cannot be used"


def test_a_picture_that_cannot_be_measured_gives_advice(visit: VisitFactory, photo: Photo) -> None:
    small = cv2.resize(photo.image, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    on = visit()
    on.choose(encode(small, ".png"))
    assert "not good enough" in on.text(".quality h3")
    assert "44 pixels between the outer corners" in on.text(".quality")
    assert "Come closer" in on.text(".quality")
    assert {cell.split("\n")[0][:8] for cells in on.rows().values() for cell in cells[:2]} <= {
        "withheld",
        "–",
    }
    assert "Cannot be judged" in on.text(".flag h3")
    assert on.page.locator("#advice").is_visible()
