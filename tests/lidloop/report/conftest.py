"""Fixtures: a run whose report has the review mode, and a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from benchmarks import chromium
from lidloop.report import page
from tests.lidloop.test_report import Made, make_run
from tests.serving.page.conftest import FLAGS

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


@contextmanager
def no_figures() -> Iterator[None]:
    """Leave the figures out of pages, which take seconds to draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "_panel", lambda *_: {"light": "", "dark": ""})
        yield


@pytest.fixture
def without_figures() -> Iterator[None]:
    with no_figures():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A finished run, with a report that has neither a review mode nor figures."""
    made = make_run(tmp_path_factory.mktemp("review-mode") / "run")
    with no_figures():
        made.write()
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; module scope, because its event loop runs in this thread."""
    program = chromium.find()
    if program is None:
        pytest.skip(chromium.MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()
