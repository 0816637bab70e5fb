from __future__ import annotations

import base64
import json
import re
import shutil
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest

from lidloop import report
from lidloop.data.dataset import Dataset, LabelVersion, write_initial, write_next
from lidloop.data.ledgers import read_ledgers
from lidloop.data.picture_index import ImageRecord
from lidloop.data.tables import write_faces
from lidloop.data.version_writer import LEDGER_SCHEMA
from lidloop.errors import LidloopError
from lidloop.evaluation import promotion_gate as gate
from lidloop.evaluation.evaluate import evaluate_iteration
from lidloop.files import sha256
from lidloop.labels import HUMAN, Face, LabelSet, box_iou, box_of
from lidloop.landmarks import GROUPS
from lidloop.report import data, figures, ledger, page, pictures
from lidloop.report.write import Options
from lidloop.synthetic.geometry import Pose
from lidloop.synthetic.truth import FaceTruth

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

WIDTH, HEIGHT = 360, 240
ITERATIONS = 3


def template() -> np.ndarray:
    """Return a (51, 2) schematic face in units of its width, centred on 0."""
    xy = np.zeros((51, 2))
    for group, x in (("left_brow", -0.31), ("right_brow", 0.31)):
        t = np.linspace(-1, 1, 5)
        xy[list(GROUPS[group])] = np.stack([x + 0.19 * t, -0.38 - 0.05 * (1 - t**2)], 1)
    xy[list(GROUPS["nose_bridge"]), 1] = np.linspace(-0.22, 0.08, 4)
    xy[list(GROUPS["nose_base"])] = np.stack([np.linspace(-0.13, 0.13, 5), np.full(5, 0.14)], 1)
    for group, x, y, rx, ry in (
        ("left_eye", -0.28, -0.22, 0.12, 0.05), ("right_eye", 0.28, -0.22, 0.12, 0.05),
        ("outer_lip", 0, 0.36, 0.22, 0.1), ("inner_lip", 0, 0.36, 0.15, 0.04),
    ):  # fmt: skip
        n = len(GROUPS[group])
        t = np.pi + 2 * np.pi * np.arange(n) / n
        xy[list(GROUPS[group])] = np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], 1)
    return xy


def face(cx: float, cy: float, size: float, *, origin: int = HUMAN, score: float = 1.0) -> Face:
    points = np.concatenate([template() * size + (cx, cy), np.full((51, 1), 2.0)], axis=1)
    return Face(box_of(points), points, origin, score)


def row(
    image: ImageRecord, f: Face, line: int, reason: str, *, iou: float = 0.0, model: str = ""
) -> dict[str, Any]:
    box = dict(zip(("x1", "y1", "x2", "y2"), map(float, f.box), strict=True))
    return {"image": image.id, "split": image.split, "line": line, **box, "origin": f.origin, "model": model,
            "confidence": f.score, "iou": iou, "decision": "kept" if line >= 0 else "dropped",
            "reason": reason}  # fmt: skip


@dataclass
class Made:
    """A run folder with its inputs."""

    root: Path
    dataset: Dataset
    labels: LabelVersion
    hidden: dict[str, list[list[float]]]

    def arguments(self) -> dict[str, Any]:
        return {
            "run": "made-up", "timings": self.root / "timings.json", "truth": self.root / "drawn/truth.json",
            "arguments": {"seed": 7, "conf": 0.7, "iou": 0.3, "epochs": 2},
            "predictions": [self.root / f"predictions-{ITERATIONS - 1}"],
        }  # fmt: skip

    def write(self, out: Path | None = None, **changes: Any) -> dict[str, Any]:
        last = self.root / f"evaluation-{ITERATIONS - 1}"
        folders = (self.root / "dataset", self.labels.root, last, out or self.root)
        return report.write_report(*folders, **{**self.arguments(), **changes})


def make_run(root: Path, *, pictures_: int = 10) -> Made:
    """Make a run: each picture has a human label and a hidden face; iterations 0 and 1 find most of them."""
    rng = np.random.default_rng(3)
    root.mkdir()
    records, human, hidden, others = [], {}, {}, []
    (root / "dataset" / "images").mkdir(parents=True)
    for k in range(pictures_):
        name = f"p{k:02d}"
        known, other = face(110, 120, 110 + 3 * k), face(270, 110 + 2 * k, 80)
        pixels = rng.integers(40, 90, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        for f in (known, other):
            centre = tuple(int(v) for v in (f.box[:2] + f.box[2:]) / 2)
            axes = tuple(int(v) for v in (f.box[2:] - f.box[:2]) * (0.62, 0.8))
            cv2.ellipse(pixels, centre, axes, 0, 0, 360, (95 + 12 * k, 130 + 8 * k, 190), -1, cv2.LINE_AA)
        file = f"{name}.png"
        cv2.imwrite(str(root / "dataset" / "images" / file), pixels)
        split, source = ("val" if k % 5 == 4 else "train"), ("ibug:one" if k % 2 else "yolo:two")
        digest = sha256(root / "dataset" / "images" / file)
        records.append(ImageRecord(name, file, WIDTH, HEIGHT, split, source, name, digest))
        human[name], hidden[name] = [known], [other.box.tolist()]
        others.append((other.box.tolist(), other))
    dataset = Dataset.write(root / "dataset", records, {"seed": 7, "sources": ["ibug:one", "yolo:two"]})
    versions = [write_initial(root / "labels-v0", dataset, LabelSet.from_faces(human))]
    kept = {r.id: [row(r, human[r.id][0], 0, "human")] for r in records}
    for iteration in range(ITERATIONS - 1):
        model, rows, grown = f"model-{iteration}", [], {}
        for k, record in enumerate(records):
            rows += kept[record.id]
            if (iteration == 0 and k < 6) or (iteration == 1 and 6 <= k < 8):
                right = not (iteration == 1 and k == 7)  # one grown label is in an empty corner
                found = face(
                    *((270, 110 + 2 * k, 80) if right else (330, 30, 36)), origin=iteration, score=0.91
                )
                grown[record.id] = [found]
                new = row(record, found, len(kept[record.id]), "grown", iou=0.02 * k, model=model)
                rows.append(new)
                kept[record.id].append({**new, "reason": "existing", "iou": 0.0})
            again = face(112, 121, 108 + 3 * k, origin=iteration, score=0.95)
            rows.append(row(record, again, -1, "overlaps-label", iou=0.93 - 0.01 * k, model=model))
            if k % 3 == 0:
                weak = face(200, 60, 40, origin=iteration, score=0.3 + 0.04 * k)
                rows.append(row(record, weak, -1, "below-confidence", model=model))
        table = pa.Table.from_pylist(rows, schema=LEDGER_SCHEMA)
        out = root / f"labels-v{iteration + 1}"
        versions.append(write_next(out, versions[-1], dataset, LabelSet.from_faces(grown), table))
    for iteration in range(ITERATIONS):
        shard = root / f"predictions-{iteration}"
        guesses: dict[str, list[Face]] = {r.id: [] for r in records}
        for record in records:
            for box_owner in (human[record.id][0], face(270, 110, 80)):
                points = box_owner.points.copy()
                points[:, :2] += rng.normal(0, 4 / 2**iteration, (51, 2))
                guesses[record.id].append(Face(box_of(points), points, iteration, 0.8 + 0.01 * rng.random()))
        write_faces(
            shard / "faces.parquet",
            LabelSet.from_faces(guesses),
            model=f"m{iteration}",
            iteration=str(iteration),
        )
        evaluate_iteration(
            dataset, versions[0], versions[iteration], [shard], root / f"evaluation-{iteration}",
            iteration=iteration, sigma=0.05,
            previous=root / f"evaluation-{iteration - 1}" if iteration else None,
        )  # fmt: skip
    seconds = {"train": 60.5, "autolabel": 4.25, "filter": 0.5, "evaluate": 1.0, "register": 0.75}
    steps = [
        {"step": s, "iteration": k, "seconds": t + k} for k in range(ITERATIONS) for s, t in seconds.items()
    ]
    steps.append({"step": "convert", "iteration": None, "seconds": 2.0})
    (root / "timings.json").write_text(json.dumps({"steps": steps}))
    entries = []
    for record, (box, other) in zip(records, others, strict=True):
        assert hidden[record.id] == [box]
        beside = root / "drawn" / "images" / record.split / f"other-name-{record.id}.png"
        beside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(dataset.path(record.id), beside)
        seen = FaceTruth(human[record.id][0].points, {}, 5.0, {}, Pose())
        faces = [
            FaceTruth(f.points, {}, 5.0, {}, Pose()).to_json() | {"hidden": f is other}
            for f in (seen.face(), other)
        ]
        size = {"width": WIDTH, "height": HEIGHT}
        entries.append({"name": beside.stem, "split": record.split, **size, "faces": faces})
    truth = {"seed": 0, "hide": 0.5, "images": entries}
    (root / "drawn" / "truth.json").write_text(json.dumps(truth))
    return Made(root, dataset, versions[-1], hidden)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_run(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="module")
def summary(made: Made) -> dict[str, Any]:
    return made.write()


@pytest.fixture(scope="module")
def html(made: Made, summary: dict[str, Any]) -> str:
    return (made.root / "report.html").read_text()


class Page(HTMLParser):
    """HTML parser that checks the nesting of tags, and collects ids, tables and URLs."""

    VOID = frozenset({"meta", "img", "br", "source", "link", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []
        self.addresses: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._table: list[list[str]] | None = None
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        self.addresses += [
            str(values[k]) for k in ("src", "srcset", "href", "action", "data") if values.get(k)
        ]
        if tag == "img":
            assert values.get("alt"), "a picture without an alternative text"
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self._table = self.tables[values.get("id") or f"unnamed-{len(self.tables)}"] = []
        elif tag == "tr" and self._table is not None:
            self._table.append([])
        elif tag in ("td", "th") and self._table is not None:
            self._table[-1].append("")
        elif tag == "h2":
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, text: str) -> None:
        if "h2" in self.open:
            self.headings[-1] += text
        if self._table and self._table[-1] and {"td", "th"} & set(self.open):
            self._table[-1][-1] += text


def test_the_page_is_well_formed_and_self_contained(html: str) -> None:
    parsed = Page(html)
    sections = ["verdict", "labels", "metrics", "filter", "pictures", "grown", "dropped", "worst", "drift",
                "settings", "timings"]  # fmt: skip
    assert [i for i in parsed.ids if i in sections] == sections
    assert len(parsed.ids) == len(set(parsed.ids))
    outside = [a[:80] for a in parsed.addresses if not a.startswith(("data:image/", "#"))]
    assert outside == []
    assert {a[1:] for a in parsed.addresses if a.startswith("#")} <= set(parsed.ids)
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert "<script" not in html
    for needed in ("prefers-color-scheme: dark", "@media print", 'name="viewport"'):
        assert needed in html
    for address in parsed.addresses:
        if address.startswith("data:image/svg+xml;base64,"):
            svg = base64.b64decode(address.split(",")[1]).decode()
            assert not re.search(r"(?:href|src)\s*=\s*[\"'](?!#|data:)", svg)


def test_table_1_matches_the_label_files(made: Made, html: str) -> None:
    table = Page(html).tables["table-1"]
    assert table[0][:4] == ["Version", "Train", "Val", "Total"]
    for version, cells in enumerate(table[1:]):
        labels = LabelVersion.open(made.root / f"labels-v{version}")
        lines = {name: labels.text(name).count(b"\n") for name in made.dataset.ids}
        for split, cell in (("train", cells[1]), ("val", cells[2])):
            assert int(cell) == sum(lines[r.id] for r in made.dataset.split(split))
        assert int(cells[3]) == sum(lines.values())
        assert int(cells[4]) == len(made.dataset.records)
    assert [row[3] for row in table[1:]] == ["10", "16", "18"]


@pytest.mark.parametrize("yardstick", ["gold", "paper"])
def test_table_2_matches_the_evaluation(made: Made, html: str, yardstick: str) -> None:
    table = Page(html).tables[f"table-2-{yardstick}"]
    for k in range(ITERATIONS):
        written = json.loads((made.root / f"evaluation-{k}" / "evaluation.json").read_text())
        overall = written[yardstick]["overall"]
        cells = table[1 + k]
        assert cells[1] == str(overall["faces"])
        for metric, cell in zip(data.METRICS, cells[2:], strict=True):
            factor = 100 if metric.unit == "%" else 1
            assert float(cell) == pytest.approx(
                factor * overall[metric.source], abs=0.51 * 10**-metric.digits
            )
    faces = [cells[1] for cells in table[1:]]
    assert faces == (["2", "2", "2"] if yardstick == "gold" else ["2", "3", "3"])


def test_the_oks_sigma_is_on_the_page(html: str) -> None:
    assert "sigma 0.05" in html


def test_summary_has_the_documented_fields(made: Made, summary: dict[str, Any]) -> None:
    assert json.loads((made.root / "summary.json").read_text()) == summary
    assert {"seed", "settings", "sources", "iterations", "champion", "stopped_early", "hidden_truth"} <= set(
        summary
    )
    first = summary["iterations"][0]
    assert first["images"] == {"train": 8, "val": 2}
    assert first["labels"] == {"train": 8, "val": 2, "total": 10, "grown": 0, "added": 6}
    assert set(first["metrics"]) == {"gold", "paper"}
    named = {
        "precision",
        "recall",
        "ap50",
        "ap50_95",
        "mse_px2",
        "nme",
        "nme_auc8",
        "failure_rate",
        "lid_error",
    }
    assert named <= set(first["metrics"]["gold"])
    assert first["seconds"] == {
        "train": 60.5, "autolabel": 4.25, "filter": 0.5, "evaluate": 1.0, "register": 0.75, "total": 67.0,
    }  # fmt: skip
    assert summary["seed"] == 7
    assert summary["growth"] == {"from": 10, "to": 18, "share": pytest.approx(0.8)}
    assert summary["versions"][2]["by_origin"] == {"human": 10, "0": 6, "1": 2}
    assert summary["versions"][1]["dropped"] == {"overlaps-label": 10, "below-confidence": 4}
    by_source = summary["versions"][2]["by_source"]
    assert sum(v["human"] + v["grown"] for v in by_source.values()) == 18
    assert summary["paths"]["labels"] == f"labels-v{ITERATIONS - 1}"
    assert summary["stopped_early"] is False


def test_grown_labels_are_compared_with_the_hidden_truth(made: Made, summary: dict[str, Any]) -> None:
    # Eight labels were grown; the one of picture 7 lies in an empty corner.
    assert summary["hidden_truth"] == {"hidden": 10, "recovered": 7, "grown": 8, "grown_correct": 7}


@pytest.mark.parametrize(
    ("boxes", "hidden", "right"),
    [
        ([[0, 0, 10, 10]], [[0, 0, 10, 10]], 1),
        ([[0, 0, 10, 10]], [[0, 0, 10, 19]], 1),
        ([[0, 0, 10, 10]], [[0, 0, 10, 21]], 0),
        ([[0, 0, 10, 10], [0, 1, 10, 10]], [[0, 0, 10, 10]], 1),
        ([[0, 0, 10, 10]], [], 0),
        ([], [[0, 0, 10, 10]], 0),
    ],
    ids=["same", "iou-0.53", "iou-0.48", "two-on-one-face", "nothing-hidden", "nothing-grown"],
)
def test_hidden_faces_match_grown_labels_one_to_one(
    boxes: list[list[float]], hidden: list[list[float]], right: int
) -> None:
    blank = np.zeros((51, 3))
    labels = LabelSet.from_faces({"a": [Face(np.array(b, float), blank, 0, 0.9) for b in boxes]})
    found = ledger.compare_with_truth(labels, {"a": np.array(hidden, float).reshape(-1, 4)})
    assert found == {
        "hidden": len(hidden), "recovered": right, "grown": len(boxes), "grown_correct": right
    }  # fmt: skip


def test_the_verdict_names_better_and_worse_metrics(summary: dict[str, Any]) -> None:
    text = " ".join(summary["verdict"])
    assert "from 10 to 18 (+80.0 %)" in text
    assert f"champion is iteration {summary['champion']['iteration']}" in text
    assert "Of 10 hidden faces 7 (70.0 %)" in text
    assert "7 of 8 grown labels (87.5 %)" in text
    gold = [r["metrics"]["gold"] for r in summary["iterations"]]
    champion = gold[summary["champion"]["iteration"]]
    for change in summary["comparison"]["better"] + summary["comparison"]["worse"]:
        metric = data.BY_KEY[change["metric"]]
        assert change["from"] == gold[0][metric.key]
        assert change["to"] == champion[metric.key]
        better = (change["to"] > change["from"]) == metric.more_is_better
        assert change in summary["comparison"]["better" if better else "worse"]
        if change in summary["comparison"]["worse"] or metric.key in ("recall", "nme", "lid_error"):
            assert f"{metric.label} {data.shown(metric, change['from'])} → " in text


def test_the_verdict_names_a_source_whose_faces_are_not_gold(summary: dict[str, Any]) -> None:
    assert "Gold has no face" not in " ".join(data.verdict(summary))
    *versions, last = summary["versions"]
    photos = {"human": 0, "grown": 1234}
    changed = {
        **summary,
        "versions": [*versions, {**last, "by_source": {**last["by_source"], "photos": photos}}],
    }
    assert data.sources_without_gold(changed) == {"photos": 1234}
    assert "no face of the source photos, where 1,234 labels grew" in " ".join(data.verdict(changed))
    unseen = {
        **summary["iterations"][-1],
        "by_source": {"gold": {name: {"faces": 0} for name in last["by_source"]}},
    }
    grown = {source: counts["grown"] for source, counts in last["by_source"].items() if counts["grown"]}
    assert data.sources_without_gold({**summary, "iterations": [unseen]}) == grown


def test_a_worse_metric_is_in_the_verdict() -> None:
    metrics = {m.key: 0.5 for m in data.METRICS}
    by_source = {"gold": {"s": {"faces": 3}}}
    first = {"iteration": 0, "metrics": {"gold": metrics}, "by_source": by_source}
    second = {
        "iteration": 1,
        "by_source": by_source,
        "metrics": {"gold": {**metrics, "recall": 0.4, "nme": 0.4, "lid_error": None}},
    }
    found = data.compare(first, second)
    assert [c["metric"] for c in found["worse"]] == ["recall"]
    assert [c["metric"] for c in found["better"]] == ["nme"]
    sentences = data.verdict(
        {"run": "r", "growth": {"from": 5, "to": 5, "share": 0.0}, "iterations": [first, second],
         "stopped_early": "no growth", "champion": {"iteration": 1}, "comparison": found,
         "hidden_truth": None, "versions": [{"by_source": {"s": {"human": 5, "grown": 2}}}]}
    )  # fmt: skip
    assert any("Worse than iteration 0 on gold: Recall 50.0 → 40.0 %." in s for s in sentences)
    assert any("did not grow" in s for s in sentences)
    assert any("stopped early: no growth" in s for s in sentences)


def test_the_champion_is_that_of_the_promotion_gate(made: Made, summary: dict[str, Any]) -> None:
    history = json.loads((made.root / f"evaluation-{ITERATIONS - 1}" / "evaluation.json").read_text())
    best, champions = None, []
    for entry in history["iterations"]:
        gold = entry["gold"]["overall"]
        if gate.decide(gold, champions[-1] if champions else None, earlier=champions).promote:
            best = entry
            champions.append(gold)
    assert best is not None
    assert summary["champion"]["iteration"] == best["iteration"]
    assert summary["champion"]["iteration"] > 0  # the noise falls from iteration to iteration


def test_the_verdict_names_a_champion_of_another_run(summary: dict[str, Any]) -> None:
    other = {"iteration": None, "model_version": "9", "run": "older"}
    sentences = data.verdict({**summary, "champion": other})
    assert any("stays version 9 of the run older" in s for s in sentences)


def test_figures_plot_the_values_of_the_summary(summary: dict[str, Any]) -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    figures.label_growth(summary)(axes, figures.THEMES["light"])
    heights = {c.get_label(): [round(b.get_height()) for b in c] for c in axes.containers}
    assert heights == {
        "human": [10, 10, 10], "grown for v1": [0, 6, 6], "grown for v2": [0, 0, 2]
    }  # fmt: skip
    assert [t.get_text() for t in axes.texts] == ["10", "16", "18"]
    for key in figures.PANELS:
        axes = Figure().add_subplot()
        figures.metric_by_iteration(summary, key)(axes, figures.THEMES["dark"])
        factor = 100 if data.BY_KEY[key].unit == "%" else 1
        lines = {line.get_label(): line.get_ydata() for line in axes.lines}
        for yardstick in ("gold", "paper"):
            expected = [factor * r["metrics"][yardstick][key] for r in summary["iterations"]]
            assert list(lines[yardstick]) == pytest.approx(expected)


def test_distributions_count_every_face_once(made: Made, summary: dict[str, Any]) -> None:
    found = summary["distributions"]
    for quantity in ("confidence", "iou"):
        assert sum(found[quantity]["grown"]) == 8
        assert sum(found[quantity]["dropped"]) == sum(sum(v["dropped"].values()) for v in summary["versions"])
    edges = np.array(found["edges"])
    assert found["confidence"]["grown"][int(np.searchsorted(edges, 0.9, side="right")) - 1] == 8


def test_drift_separates_large_human_and_small_grown_faces(summary: dict[str, Any]) -> None:
    box = summary["drift"]["box_size"]
    assert box["n"] == {"human": 10, "grown": 8}
    assert box["median"]["human"] > box["median"]["grown"]
    assert box["ks"] == pytest.approx(1.0)  # every human face here is larger than every grown one
    assert summary["drift"]["pfh_ratio"]["n"] == {"human": 20, "grown": 16}
    assert ledger.ks_distance(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0
    assert ledger.ks_distance(np.array([]), np.array([1.0])) is None


def test_a_tripped_guard_is_at_the_top_and_all_are_in_a_table(summary: dict[str, Any]) -> None:
    assert set(summary["guards"]) == {
        "grown_share",
        "disagreement",
        "confirmation_bias",
        "source_concentration",
        "group_gap",
    }
    guard = {"value": 0.031, "threshold": 0.02, "tripped": True, "why": "labels of iteration 0 lie elsewhere"}
    changed = summary | {"guards": summary["guards"] | {"disagreement": guard}}
    html = page.render(changed, page.Pictures([], [], {}, []), faces=False)
    top = html[: html.index('id="labels"')]
    assert "Guard tripped: disagreement" in top
    assert "Labels of iteration 0 lie elsewhere" in top
    assert "Guard tripped" not in page.render(summary, page.Pictures([], [], {}, []), faces=False)
    table = html[html.index('id="table-guards"') :]
    assert "<td>0.031</td><td>0.020</td><td><b>yes</b></td>" in table
    assert "50 are needed" in table, "reason for a guard without a value"


def test_groups_of_gold_and_of_drawn_faces_are_shown_and_a_failure_is_loud(summary: dict[str, Any]) -> None:
    gold, drawn = summary["groups"]["gold"], summary["groups"]["drawn"]
    assert {line["dimension"] for line in gold["lines"]} == {"skin tone", "size", "pose"}
    assert {line["dimension"] for line in drawn["lines"]} >= {"glasses", "occluder", "ptosis", "severity"}
    html = page.render(summary, page.Pictures([], [], {}, []), faces=False)
    assert 'id="table-groups-gold"' in html
    assert 'id="table-groups-drawn"' in html
    assert "Falls behind" not in html
    gap = {
        "dimension": "skin tone",
        "group": "dark",
        "text": "Recall 80.0 % against 99.0 %",
        "is_failure": True,
    }
    changed = summary | {"groups": {"gold": gold | {"gaps": [gap]}, "drawn": None}}
    html = page.render(changed, page.Pictures([], [], {}, []), faces=False)
    assert "Falls behind: skin tone dark.</b> Recall 80.0 % against 99.0 %" in html
    old = {k: v for k, v in summary.items() if k != "groups"}
    assert "made by an earlier version" in page.render(old, page.Pictures([], [], {}, []), faces=False)


def test_the_sample_depends_only_on_the_seed(made: Made) -> None:
    labels = made.labels.labels(made.dataset)
    first = ledger.sample_grown(labels, count=5, seed=1)
    assert (labels.origin[first] != HUMAN).all()
    assert len(set(first.tolist())) == 5
    assert (first == ledger.sample_grown(labels, count=5, seed=1)).all()
    assert (first != ledger.sample_grown(labels, count=5, seed=2)).any()
    assert len(ledger.sample_grown(labels, count=100, seed=1)) == 8


def test_every_grown_label_is_in_the_grid(made: Made, html: str) -> None:
    section = html[html.index('id="grown"') : html.index('id="dropped"')]
    names = re.findall(r"<b>\d+ · (p\d\d:\d+)</b>", section)
    expected = [f"p{k:02d}:1" for k in range(8)]
    assert sorted(names) == expected
    assert section.count("data:image/jpeg;base64,") == 8


def test_near_misses_are_sorted(made: Made) -> None:
    ledgers = read_ledgers(made.labels)
    chosen = ledger.near_misses(ledgers, per_reason=3)
    assert list(chosen) == ["overlaps-label", "below-confidence"]
    overlaps = [float(ledgers[v].iou[r]) for v, r in chosen["overlaps-label"]]
    assert overlaps == pytest.approx([0.84, 0.85, 0.86], abs=1e-6)
    weak = [float(ledgers[v].confidence[r]) for v, r in chosen["below-confidence"]]
    assert weak == pytest.approx([0.66, 0.54, 0.42], abs=1e-6)


def test_worst_errors_are_sorted(made: Made, html: str) -> None:
    section = html[html.index('id="worst"') : html.index('id="drift"')]
    errors = [float(v) for v in re.findall(r"NME ([\d.]+) %[^<]*person", section)]
    assert len(errors) == 2
    assert errors == sorted(errors, reverse=True)
    assert len(re.findall(r"model, 0\.8", section)) == 2


def test_tiles_and_contact_sheet_have_their_size(made: Made) -> None:
    labels = made.labels.labels(made.dataset)
    load = pictures.loader(made.dataset)
    tile = pictures.grown_tiles(labels, load, count=1, seed=0)[0]
    assert tile.jpeg is not None
    pixels = cv2.imdecode(np.frombuffer(tile.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape == (pictures.TILE, pictures.TILE, 3)
    sheet = pictures.contact_sheet([tile] * 11, columns=10)
    assert sheet.shape[1] >= 10 * pictures.TILE
    assert sheet.shape[0] >= 2 * pictures.TILE


def test_without_faces_the_page_has_no_photograph(made: Made, tmp_path: Path) -> None:
    made.write(tmp_path, options=Options(faces=False))
    text = (tmp_path / "report.html").read_text()
    Page(text)
    assert "image/jpeg" not in text
    assert "left out of this page" in text


def test_regenerate_gives_the_same_bytes(made: Made, summary: dict[str, Any]) -> None:
    before = {name: (made.root / name).read_bytes() for name in ("report.html", "summary.json")}
    (made.root / "report.html").unlink()
    assert report.regenerate(made.root) == made.root / "report.html"
    after = {name: (made.root / name).read_bytes() for name in before}
    assert after == before


def test_a_moved_run_folder_can_be_regenerated(made: Made, summary: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(made.root, tmp_path / "elsewhere")
    assert report.regenerate(tmp_path / "elsewhere").exists()


def test_an_unreadable_picture_is_shown_as_such_and_logged(
    made: Made, summary: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    labels = made.labels.labels(made.dataset)

    def load(image: str) -> None:
        return None

    tiles = pictures.grown_tiles(labels, load, count=2, seed=0)
    shown = page.Pictures([], tiles, {}, [])
    assert page.render(summary, shown).count("picture cannot be read") == 2
    pictures.loader(replace(made.dataset, root=made.root / "nowhere"))("p00")
    assert "no picture of p00" in caplog.text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: (r / "summary.json").unlink(), "holds no run"),
        (lambda r: (r / "summary.json").rename(r / "run.json"), "has not finished"),
        (lambda r: (r / "summary.json").write_text("{}"), "does not name its folders"),
        (lambda r: (r / "timings.json").write_text('{"steps": [{"step": 1}]}'), "timings.json: expected"),
        (lambda r: (r / "drawn" / "truth.json").write_text('{"images": [1]}'), "truth.json"),
        (lambda r: shutil.rmtree(r / "drawn" / "images"), "truth.json does not belong to"),
        (lambda r: (r / f"evaluation-{ITERATIONS - 1}" / "evaluation.json").unlink(), "evaluation"),
        (
            lambda r: (r / f"labels-v{ITERATIONS - 1}" / "version.json").unlink(),
            "not a finished label version",
        ),
    ],
    ids=[
        "no-summary",
        "unfinished",
        "empty-summary",
        "timings",
        "truth",
        "truth-of-another-dataset",
        "no-evaluation",
        "no-version",
    ],
)
def test_invalid_run_folders_are_rejected(
    made: Made, summary: dict[str, Any], tmp_path: Path, damage: Any, message: str
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(made.root, copy)
    damage(copy)
    with pytest.raises(LidloopError, match=message):
        report.regenerate(copy)


def test_text_from_the_data_cannot_become_markup(summary: dict[str, Any]) -> None:
    hostile = {**summary, "run": "<script>alert(1)</script>", "settings": {"note": '"><img src=x>'}}
    text = page.render(hostile, page.Pictures([], [], {}, []), faces=False)
    Page(text)
    assert "<script" not in text
    assert "<img src=x" not in text


def test_the_wrong_grown_label_of_the_fixture_overlaps_no_face(made: Made) -> None:
    labels = made.labels.labels(made.dataset)
    wrong = labels.of("p07")[1]
    assert box_iou(wrong.box[None], np.array(made.hidden["p07"]))[0, 0] < 0.1
