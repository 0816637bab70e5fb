"""Screenshot of the report's review mode, for docs/REVIEW.md: ``python -m benchmarks.review.pictures``.

The faces are drawn; half of their labels are hidden, and the demo weights find them again.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer
from PIL import Image
from playwright.sync_api import sync_playwright

from benchmarks import chromium
from benchmarks.common import DOCS, IMAGES
from benchmarks.page import FLAGS, demo_model
from lidloop.autolabel.predict import predict_shard
from lidloop.autolabel.refine import refine
from lidloop.cli.report import report
from lidloop.data.convert import convert
from lidloop.evaluation.evaluate import evaluate_iteration
from lidloop.files import write_atomic
from lidloop.report.write import REPORT, write_report
from lidloop.synthetic import write_faces_folder

VIEW: Final = (1280, 800)
KEYS: Final = "rrrwrr"
"""Decisions before the screenshot is taken."""


def drawn_run(folder: Path, *, pictures: int = 48, seed: int = 7000) -> None:
    """Write a run of one iteration on drawn faces, and its report with the review mode."""
    write_faces_folder(folder / "faces", images=pictures, seed=seed, hide=0.5)
    dataset, given = convert(
        [f"yolo:{folder / 'faces'}"], folder / "dataset", folder / "labels-v0", keep_splits=True
    )
    (folder / "demo").mkdir()
    shards = [predict_shard(dataset, demo_model(folder / "demo"), folder / "shard")]
    refine(dataset, given, shards, folder / "labels-v1", iteration=0)
    evaluate_iteration(dataset, given, given, shards, folder / "evaluation", iteration=0)
    write_report(
        folder / "dataset", folder / "labels-v1", folder / "evaluation", folder, run="drawn",
        predictions=shards,
    )  # fmt: skip
    report(folder, review=100)


def screenshot(page_file: Path) -> bytes:
    """Take a screenshot of the review mode after some decisions, as a JPEG.

    Raises:
        RuntimeError: if Chromium is missing.
    """
    program = chromium.required()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page(viewport={"width": VIEW[0], "height": VIEW[1]}, color_scheme="light")
        page.goto(page_file.as_uri())
        page.click("#review-open")
        for key in KEYS:
            page.keyboard.press(key)
        shot = page.screenshot(animations="disabled")
        browser.close()
    out = io.BytesIO()
    Image.open(io.BytesIO(shot)).convert("RGB").save(out, "JPEG", quality=88, subsampling=0, optimize=True)
    return out.getvalue()


def main(
    out: Annotated[Path, typer.Option(help="File to write.")] = DOCS / IMAGES / "review-mode.jpg",
) -> None:
    """Write the screenshot of docs/REVIEW.md."""
    with tempfile.TemporaryDirectory(prefix="lidloop-bench-") as name:
        drawn_run(Path(name))
        write_atomic(out, screenshot(Path(name) / REPORT))
    typer.echo(out)


if __name__ == "__main__":
    typer.run(main)
