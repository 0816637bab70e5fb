"""Accessibility of the page: keyboard, screen readers, phones, colour schemes, print."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from tests.serving.conftest import Photo
from tests.serving.page.conftest import Visit, VisitFactory

PHONE = {"viewport": {"width": 320, "height": 640}, "is_mobile": True, "has_touch": True}
NAMED = {
    "button", "textbox", "checkbox", "radio", "slider", "link", "image", "progressbar", "DisclosureTriangle",
    "application", "table", "dialog", "region",
}  # fmt: skip

FOCUSED = """() => {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const top = document.querySelector("#notice").getBoundingClientRect();
  return {
    what: element.id || element.dataset.side || element.name || element.tagName,
    outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    seen: box.bottom > top.bottom && box.top < innerHeight && box.width > 0,
  };
}"""

CONTRASTS = """() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = (top, ground) => [0, 1, 2].map((k) => top[k] * top[3] + ground[k] * (1 - top[3])).concat(1);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const groundOf = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((ground, layer) => over(layer, ground), [255, 255, 255, 1]);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || element.closest(":disabled")) continue;
    const ground = groundOf(element);
    const ink = over(parse(getComputedStyle(element).color), ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    found.push([text.slice(0, 40), (a + 0.05) / (b + 0.05)]);
  }
  return found;
}"""


def accessible(page: Page) -> list[tuple[str, str]]:
    """Role and name of every node of the browser's accessibility tree that is not ignored."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored") and "role" in node
    ]


def tab_to(page: Page, what: str, *, back: bool = False) -> None:
    """Press Tab until ``what`` has the focus; the focus must be visible at every stop."""
    for _ in range(60):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        stop = page.evaluate(FOCUSED)
        assert stop["outline"], stop
        assert stop["seen"] or stop["what"] == "BODY", stop
        if stop["what"] == what:
            return
    raise AssertionError(f"{what} cannot be reached by Tab")


def wide(page: Page) -> list[str]:
    """Elements wider than the window; empty for a page that does not scroll sideways."""
    found: list[str] = page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] :
          [...document.querySelectorAll("body *")]
            .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
            .map((e) => `${e.tagName} ${e.id} ${e.className}`)"""
    )
    return found


def with_everything(on: Visit, photo: Photo) -> None:
    """Open the page with a result and all details expanded."""
    on.choose(photo.jpeg)
    for summary in on.page.locator("summary:visible").all():
        if summary.evaluate("(e) => !e.parentElement.open"):
            summary.click()
    on.page.click("#pupils-set")


def test_all_steps_work_by_keyboard(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    page = on.page
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    tab_to(page, "choose")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo.jpeg})
    on.settled()
    page.wait_for_function("() => document.querySelector('#live').textContent.startsWith('Measured.')")
    tab_to(page, "mirrored")
    on.again(lambda: page.keyboard.press("Space"))
    on.again(lambda: page.keyboard.press("Space"))
    tab_to(page, "zoom")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#zoom") == "1.25"
    tab_to(page, "pupils-set", back=True)
    page.keyboard.press("Enter")
    assert page.evaluate(FOCUSED)["what"] == "OD"
    page.keyboard.press("Enter")
    before = placed(on)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Alt+ArrowDown")
    page.wait_for_function("() => /^x [\\d.]+, y [\\d.]+$/.test(document.querySelector('#live').textContent)")
    page.keyboard.press("Enter")
    assert placed(on) == pytest.approx([before[0] + 10, before[1] - 0.9], abs=0.11)
    tab_to(page, "pupils-apply")
    on.again(lambda: page.keyboard.press("Enter"))
    sent = json.loads(httpx.URL(on.sent[-1].url).params["pupils"])
    assert sent["OD"] == pytest.approx([before[0] + 10, before[1] - 0.9], abs=0.11)
    assert page.evaluate(FOCUSED)["what"] == "pupils-set"
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert page.locator("#pupils-panel").is_hidden()
    tab_to(page, "copy-fhir")
    on.again(lambda: page.keyboard.press("Enter"))
    page.wait_for_function("() => document.querySelector('#copy-fhir').textContent === 'Copied'")


def placed(on: Visit) -> list[float]:
    match = re.search(r"OD at ([\d.]+), (\d+\.\d)", on.text("#pupils-placed"))
    assert match is not None
    return [float(match[1]), float(match[2])]


def test_names_and_announcements_for_screen_readers(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    with_everything(on, photo)
    tree = accessible(on.page)
    assert [(role, name) for role, name in tree if role in NAMED and not name.strip()] == []
    roles = [role for role, _ in tree]
    assert roles.count("rowheader") == 6
    assert roles.count("columnheader") == 4
    images = [name for role, name in tree if role == "image"]
    assert any("the right eye (OD) at the picture’s left" in name for name in images)
    assert any(name.startswith("Close-up of the left eye (OS): lid margins") for name in images)
    assert on.page.evaluate("() => document.documentElement.lang") == "en"
    ids = on.page.eval_on_selector_all("[id]", "(all) => all.map((e) => e.id)")
    assert len(ids) == len(set(ids))
    named = on.page.eval_on_selector_all(
        "[aria-labelledby], [aria-describedby], label[for]",
        """(all) => all.flatMap((e) => [e.getAttribute("aria-labelledby"), e.getAttribute("aria-describedby"),
          e.htmlFor]).filter(Boolean).flatMap((ids) => ids.split(" "))""",
    )
    assert set(named) <= set(ids)


def test_heading_levels_are_not_skipped(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    for prepare in (lambda: None, lambda: with_everything(on, photo)):
        prepare()
        levels = on.page.eval_on_selector_all(
            "h1, h2, h3, h4, h5, h6",
            "(all) => all.filter((e) => e.checkVisibility()).map((e) => Number(e.tagName[1]))",
        )
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels)), levels


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(visit: VisitFactory, photo: Photo, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    on = visit(color_scheme=scheme)
    texts: list[tuple[str, float]] = on.page.evaluate(CONTRASTS)
    with_everything(on, photo)
    texts += on.page.evaluate(CONTRASTS)
    for level in ("none", "suspicious", "functional", "undetermined"):
        on.page.eval_on_selector(".flag", "(e, level) => { e.className = `flag ${level}`; }", level)
        texts += on.page.evaluate(CONTRASTS)
    on.page.fill("#mm-per-px", "x")
    on.page.press("#mm-per-px", "Enter")
    texts += on.page.evaluate(CONTRASTS)
    assert len(texts) > 300
    assert [(text, round(contrast, 2)) for text, contrast in texts if contrast < 4.5] == []


def test_a_phone_never_scrolls_sideways(visit: VisitFactory, photo: Photo, two_faces: bytes) -> None:
    on = visit(**PHONE)
    assert wide(on.page) == []
    on.choose(b"text")
    assert wide(on.page) == []
    on.choose(two_faces)
    assert wide(on.page) == []
    with_everything(on, photo)
    assert wide(on.page) == []
    small = on.page.eval_on_selector_all(
        "button, input, summary, .closeup",
        """(all) => all.filter((e) => e.checkVisibility()).map((e) => [e, (e.closest("label") ?? e)])
          .filter(([, e]) => e.getBoundingClientRect().height < 24 || e.getBoundingClientRect().width < 24)
          .map(([e]) => e.id || e.className)""",
    )
    assert small == []  # WCAG 2.2, 2.5.8
    on.page.locator("[data-side=OS]").tap()
    assert "OS at" in on.text("#pupils-placed")
    # The button opens the camera app of the phone, not the dialog of the page.
    with on.page.expect_file_chooser() as chooser:
        on.page.locator("#take").tap()
    assert chooser.value.element.get_attribute("capture") == "environment"


def test_no_size_scrolls_sideways(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    for prepare in (lambda: None, lambda: with_everything(on, photo)):
        prepare()
        for width in (375, 600, 820, 1024, 1440):
            on.page.set_viewport_size({"width": width, "height": 800})
            on.page.wait_for_function("(width) => innerWidth === width", arg=width)
            on.page.evaluate(
                "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
            )
            assert wide(on.page) == [], width


def test_not_a_diagnosis_is_always_in_view(visit: VisitFactory, photo: Photo) -> None:
    on = visit()
    on.choose(photo.jpeg)
    for place in ("0", "document.body.scrollHeight / 2", "document.body.scrollHeight"):
        on.page.evaluate(f"() => scrollTo(0, {place})")
        box = on.page.locator("#notice").bounding_box()
        assert box is not None
        assert 0 <= box["y"] < 100
        assert "Not a diagnosis." in on.text("#notice")


def test_the_flag_differs_by_words_and_shape(visit: VisitFactory) -> None:
    on = visit()
    shown: dict[str, Any] = on.page.evaluate(
        """async () => {
          const {FLAG} = await import("/static/words.js");
          return Object.fromEntries(Object.entries(FLAG).map(([level, {title}]) => [level, title(["OS"])]));
        }"""
    )
    assert set(shown) == {"none", "suspicious", "functional", "undetermined"}
    assert len(set(shown.values())) == 4


def test_reduced_motion_is_respected(visit: VisitFactory, photo: Photo) -> None:
    on = visit(reduced_motion="reduce")
    on.choose(photo.jpeg)
    moving = on.page.evaluate(
        """() => [...document.querySelectorAll("*")].filter((e) => {
          const style = getComputedStyle(e);
          return style.animationName !== "none" || style.transitionDuration !== "0s";
        }).map((e) => e.id)"""
    )
    assert moving == []


def test_it_prints_on_one_page(visit: VisitFactory, photo: Photo) -> None:
    on = visit(color_scheme="dark")
    on.choose(photo.jpeg)
    pdf = on.page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    on.page.emulate_media(media="print")
    assert on.page.locator("#choose").is_hidden()
    assert on.page.locator("#notice").is_visible()
    assert on.page.locator(".patient").is_visible()
    assert on.page.locator(".about dl").is_visible()  # model, request, time
    assert on.page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert all(contrast >= 4.5 for _, contrast in on.page.evaluate(CONTRASTS))
