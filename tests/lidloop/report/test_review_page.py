"""The review mode in Chromium: decisions by key, undo, reload, the saved file and its import."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from lidloop.cli.review import open_run, order_faces
from lidloop.report import page as report_page
from lidloop.report.pictures import loader
from lidloop.report.review_mode import VERDICTS, Review, encode_within, make_review
from lidloop.review.decisions import read_decisions
from lidloop.review.page_limits import FACE_BYTES, PAGE_BYTES
from tests.command_line import lidloop
from tests.lidloop.report.conftest import no_figures
from tests.lidloop.test_report import Made
from tests.serving.page.test_access import CONTRASTS, accessible, wide

NAMES = {v.key: v.name for v in VERDICTS}
NAMED = {"button", "dialog", "image", "progressbar", "group", "figure"}
OUTLINE = "() => getComputedStyle(document.activeElement).outlineStyle !== 'none'"
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def report(made: Made) -> Path:
    """The report with all faces of the queue, human labels included."""
    with no_figures():
        assert lidloop("report", made.root, "--review", "100", "--human").returncode == 0
    return made.root / "report.html"


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without network and without anything stored; errors of a page fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    context.set_default_timeout(10_000)
    said: list[str] = []
    asked: list[str] = []
    context.on("weberror", lambda error: said.append(str(error.error)))
    context.on("console", lambda message: said.append(message.text))
    context.on("request", lambda request: asked.append(request.url))
    yield context
    context.close()
    assert said == []
    assert {address.split(":")[0] for address in asked} <= {"file", "data", "blob"}


@pytest.fixture
def open_report(context: BrowserContext, report: Path) -> Open:
    """Function that opens a report and its review mode."""

    def visit(file: Path = report) -> Page:
        page = context.new_page()
        page.goto(file.as_uri())
        page.click("#review-open")
        return page

    return visit


def caption(page: Page) -> str:
    return page.inner_text("#review-caption")


def count(page: Page) -> int:
    return int(page.inner_text("#review-count").split()[0])


def decision(page: Page) -> str:
    return page.locator("#review-facts dd").last.inner_text()


def saved(page: Page, tmp_path: Path) -> Path:
    with page.expect_download() as download:
        page.keyboard.press("s")
    assert download.value.suggested_filename == "decisions.json"
    download.value.save_as(tmp_path / "decisions.json")
    return tmp_path / "decisions.json"


def test_decisions_are_made_by_key_kept_over_a_reload_and_imported(
    open_report: Open, made: Made, tmp_path: Path
) -> None:
    page = open_report()
    shown = []
    for key in "rwpu":
        shown.append(page.evaluate("() => document.querySelector('#review-caption').textContent"))
        page.keyboard.press(key)
    assert len(set(shown)) == 4
    page.reload()
    page.click("#review-open")
    assert count(page) == 4
    assert caption(page).startswith("Face 5 of ")
    file = read_decisions(saved(page, tmp_path))
    dataset, labels, _ = open_run(made.root)
    assert (file.dataset, file.labels, file.tool) == (dataset.digest, labels.version, "lidloop report")
    assert [d.verdict for d in file.decisions] == ["confirmed", "declined", "unsure", "unsure"]
    assert [d.face for d in file.decisions] == [text.rpartition(", ")[2] for text in shown]
    assert [d.note for d in file.decisions] == ["", "", "the points are wrong", ""]
    assert all(abs(datetime.now(UTC) - d.at) < timedelta(minutes=5) for d in file.decisions)
    assert file.decisions[0].reviewer is None
    out = tmp_path / "labels"
    first = lidloop("review", "import", made.root, tmp_path / "decisions.json", "--out", out, "--json")
    applied = json.loads(first.stdout)
    assert applied["applied"] == {"confirmed": 1, "declined": 1}
    assert applied["outcomes"] == {"applied": 2, "noted": 2}
    page.keyboard.press("r")
    again = read_decisions(saved(page, tmp_path))
    assert again.session == file.session
    assert again.decisions[:4] == file.decisions


def test_back_next_undo_and_a_changed_decision(open_report: Open, tmp_path: Path) -> None:
    page = open_report()
    page.keyboard.press("r")
    page.keyboard.press("w")
    page.keyboard.press("ArrowLeft")
    assert decision(page) == NAMES["w"]
    page.keyboard.press("u")
    page.keyboard.press("b")
    assert decision(page) == NAMES["u"]
    assert count(page) == 2
    page.keyboard.press("z")
    assert (caption(page)[:7], decision(page)) == ("Face 2 ", NAMES["w"]), "the decision before is back"
    page.keyboard.press("Control+z")
    page.keyboard.press("z")
    assert (caption(page)[:7], count(page)) == ("Face 1 ", 0)
    page.keyboard.press("z")
    assert page.inner_text("#review-live") == "There is nothing to undo."
    page.keyboard.press("ArrowLeft")
    assert "first face" in page.inner_text("#review-live")
    page.keyboard.press("n")
    page.keyboard.press("r")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert caption(page)[:7] == "Face 5 "
    page.reload()
    page.click("#review-open")
    assert caption(page)[:7] == "Face 1 ", "the first one that is not decided"
    assert [d.verdict for d in read_decisions(saved(page, tmp_path)).decisions] == ["confirmed"]


def test_two_windows_show_the_same_decisions(open_report: Open) -> None:
    first, second = open_report(), open_report()
    first.keyboard.press("r")
    second.wait_for_function("() => document.querySelector('#review-count').textContent.startsWith('1 ')")
    second.keyboard.press("z")
    first.wait_for_function("() => document.querySelector('#review-count').textContent.startsWith('0 ')")


def test_decisions_belong_to_a_run_and_a_dataset(open_report: Open, report: Path, tmp_path: Path) -> None:
    page = open_report()
    page.keyboard.press("r")
    for old, new in (('"run": "made-up"', '"run": "another"'), ('"dataset": "', '"dataset": "0')):
        text = report.read_text()
        assert old in text
        other = tmp_path / "other.html"
        other.write_text(text.replace(old, new))
        assert count(open_report(other)) == 0
    assert count(open_report()) == 1


@pytest.mark.usefixtures("without_figures")
def test_faces_that_a_page_does_not_have_are_kept_but_not_saved(
    open_report: Open, made: Made, report: Path, tmp_path: Path
) -> None:
    page = open_report()
    page.keyboard.press("r")
    page.keyboard.press("w")
    small = tmp_path / "small.html"
    dataset, labels, predictions = open_run(made.root)
    faces, entries = order_faces(dataset, labels, predictions, human=True)
    summary = json.loads((made.root / "summary.json").read_text())
    shown = [entry for entry in entries if faces.all.points[entry.row, :, 2].any()]  # as the page has them
    one = make_review(dataset, labels.version, faces, shown[:1], loader(dataset), limit=1)
    small.write_text(report_page.render(summary, report_page.Pictures([], [], {}, []), review=one))
    page = open_report(small)
    assert count(page) == 1
    assert len(read_decisions(saved(page, tmp_path)).decisions) == 1
    page.keyboard.press("z")
    assert count(open_report()) == 1, "undo took the last decision that the small page shows"


def test_without_storage_the_page_says_so(context: BrowserContext, report: Path, tmp_path: Path) -> None:
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('off'); }})"
    )
    page = context.new_page()
    page.goto(report.as_uri())
    page.click("#review-open")
    assert page.locator("#review-warning").is_visible()
    page.keyboard.press("r")
    assert len(read_decisions(saved(page, tmp_path)).decisions) == 1


def test_damaged_stored_decisions_count_as_none(context: BrowserContext, report: Path) -> None:
    page = context.new_page()
    page.goto(report.as_uri())
    page.click("#review-open")
    page.keyboard.press("r")
    for damaged in ("{", "null", "7", '{"session": "x", "actions": [null]}', '{"session": 1, "actions": []}'):
        page.evaluate("(text) => localStorage.setItem(Object.keys(localStorage)[0], text)", damaged)
        page.reload()
        page.click("#review-open")
        assert count(page) == 0, damaged


def test_the_landmarks_are_drawn_on_the_face_and_can_be_hidden(open_report: Open, made: Made) -> None:
    page = open_report()
    content = page.evaluate("() => JSON.parse(document.querySelector('#review-content').textContent)")
    face = content["faces"][0]
    seen = sum(point[2] > 0 for point in face["points"])
    assert page.locator("#review-picture circle").count() == seen
    assert page.locator("#review-picture image").count() == 1
    page.wait_for_function("() => document.querySelector('#review-picture image').getBBox().width > 0")
    page.keyboard.press("l")
    assert page.locator("#review-picture circle").count() == 0
    around = page.get_attribute("#review-picture", "viewBox")
    page.keyboard.press("c")
    x, y, side, _ = map(float, (page.get_attribute("#review-picture", "viewBox") or "").split())
    assert around == f"0 0 {content['unit']} {content['unit']}"
    assert x < face["box"][0] < face["box"][2] < x + side < content["unit"]
    assert y < face["box"][1] < face["box"][3] < y + side


def test_it_works_by_keyboard_alone_and_gives_the_focus_back(context: BrowserContext, report: Path) -> None:
    page = context.new_page()
    page.goto(report.as_uri())
    page.keyboard.press("r")
    page.focus("#review-open")
    page.keyboard.press("Enter")
    focused = "() => document.activeElement.id || document.activeElement.dataset.key || ''"
    assert page.evaluate(focused) == "review-stage"
    assert count(page) == 0, "a key outside the review mode decides nothing"
    stops = []
    for _ in range(20):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(focused))
        assert page.evaluate(OUTLINE) or stops[-1] == ""
    names = ("back", "next", "undo", "save", "points", "near", "open-face", "close")
    wanted = {*NAMES, *(f"review-{name}" for name in names)}
    assert wanted <= set(stops)
    assert "review-open" not in stops, "the focus stays in the dialog"
    page.focus("[data-key=u]")
    page.keyboard.press("Space")
    assert count(page) == 1
    assert page.evaluate(focused) == "u"
    page.keyboard.press("Escape")
    assert page.evaluate(focused) == "review-open"
    assert page.inner_text("#review-state").startswith("1 of ")


def test_names_states_and_announcements_for_screen_readers(open_report: Open) -> None:
    page = open_report()
    page.keyboard.press("w")
    assert page.inner_text("#review-live").startswith(f"Face 1: {NAMES['w']}. Face 2 of ")
    page.keyboard.press("ArrowLeft")
    tree = [(role, name) for role, name in accessible(page) if role in NAMED]
    assert [pair for pair in tree if not pair[1].strip()] == []
    assert ("dialog", "Review") in tree
    assert any(role == "image" and name.startswith("Face 1 of ") for role, name in tree)
    pressed = page.locator("#review-dialog .verdict-button[aria-pressed=true]")
    assert pressed.count() == 1
    assert NAMES["w"] in pressed.inner_text()
    progress = page.locator("#review-progress")
    assert progress.evaluate("(e) => [e.value, e.max]") == [1, page.locator(".review-jpeg").count()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_and_width(open_report: Open, scheme: Any) -> None:
    """WCAG 2.2, 1.4.3 and 1.4.10: at least 4.5 to 1, and no scrolling sideways on a phone."""
    page = open_report()
    page.emulate_media(color_scheme=scheme)
    for act in ("z", "r", "w"):
        page.keyboard.press(act)
        texts: list[tuple[str, float]] = page.evaluate(
            CONTRASTS.replace("document.body,", "document.querySelector('#review-dialog'),")
        )
        assert len(texts) > 30
        assert [(text, round(contrast, 2)) for text, contrast in texts if contrast < 4.5] == []
    for width in (360, 768, 1440):
        page.set_viewport_size({"width": width, "height": 700})
        assert page.locator("#review-dialog").evaluate("(e) => e.scrollWidth <= e.clientWidth"), width
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 360, "height": 700})
    assert not [name for name in wide(page) if "review" in name]


@pytest.mark.usefixtures("without_figures")
def test_a_thousand_faces(open_report: Open, made: Made, tmp_path: Path) -> None:
    """Noise is the largest JPEG; the page stays within its limit, and every face can be decided and saved."""
    dataset, labels, predictions = open_run(made.root)
    faces, entries = order_faces(dataset, labels, predictions, human=True)
    few = make_review(dataset, labels.version, faces, entries, loader(dataset), limit=len(entries))
    rng = np.random.default_rng(0)
    each = min(FACE_BYTES, PAGE_BYTES // 1000)
    noise = [
        encode_within(cv2.GaussianBlur(rng.integers(0, 256, (720, 720, 3), dtype=np.uint8), (0, 0), 1), each)
        for _ in range(4)
    ]
    many = [
        replace(face, entry=replace(face.entry, face=f"{face.entry.face}-{k}"), jpeg=noise[k % 4])
        for k in range(1000)
        for face in [few.faces[k % len(few.faces)]]
    ]
    review = Review(dataset.digest, labels.version, many, 1000)
    summary = json.loads((made.root / "summary.json").read_text())
    file = tmp_path / "thousand.html"
    file.write_text(report_page.render(summary, report_page.Pictures([], [], {}, []), review=review))
    size = file.stat().st_size
    assert sum(len(face.jpeg) for face in many) > PAGE_BYTES / 2, "the pictures are large ones"
    assert size < 1.34 * PAGE_BYTES + 4_000_000
    page = open_report(file)
    buttons = 'document.querySelectorAll(".verdict-button")'
    page.evaluate(f"() => {{ for (let k = 0; k < 1000; k++) {buttons}[k % 4].click(); }}")
    assert caption(page).startswith("Face 1000 of 1000")
    assert count(page) == 1000
    read = read_decisions(saved(page, tmp_path))
    assert [d.face for d in read.decisions] == [face.entry.face for face in many]
    page.reload()
    page.click("#review-open")
    assert count(page) == 1000
    assert page.evaluate("() => performance.memory.usedJSHeapSize") < 300e6
