"""``lidloop``: the command line's root, and the library's own commands.

Other packages add theirs through the entry-point group ``lidloop.commands``: each entry is a function that
takes the root app. Where such a package is not installed, its commands are simply not there.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lidloop import __version__
from lidloop.cli.exporter import exporter
from lidloop.cli.registry import DEFAULT_REGISTRY, registry_app
from lidloop.cli.store import store_app
from lidloop.errors import LidloopError

app = typer.Typer(
    name="lidloop",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Grow facial-landmark labels by training, predicting and training again; keep every turn's model in "
    "a registry; measure eyelids with the best one.\n\n"
    "New here? [bold]lidloop demo[/bold] shows the whole loop on drawn faces in a few minutes.\n\n"
    "Your own pictures: [bold]lidloop run --source ibug:DIR --out runs/mine[/bold].",
)
app.add_typer(registry_app)
app.add_typer(store_app)
app.command()(exporter)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Registry = Annotated[
    str,
    typer.Option("--registry", envvar="LIDLOOP_REGISTRY", help="Registry that --model names a version of."),
]
Sources = Annotated[
    list[str],
    typer.Option(
        "--source",
        "-s",
        help="Annotations: ibug:DIR, dlib:FILE.xml, coco:FILE.json or yolo:DIR; DIR and FILE may be s3://… "
        "May be repeated and mixed.",
    ),
]
Model = Annotated[
    str,
    typer.Option("--model", "-m", help="A bundle or model folder, an .onnx file, 'champion' or a version."),
]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more, on stderr.")] = False,
) -> None:
    """Options of every command."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
    handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=False, show_level=verbose)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("lidloop").setLevel(logging.DEBUG if verbose else logging.INFO)


@app.command()
def convert(
    source: Sources,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for dataset/ and labels-v0/.")],
    split: Annotated[float, typer.Option(min=0, max=1, help="Share of the pictures for training.")] = 0.8,
    seed: Annotated[int, typer.Option(help="Another seed gives another split.")] = 0,
    keep_splits: Annotated[bool, typer.Option("--keep-splits", help="Keep the splits sources give.")] = False,
    as_json: Json = False,
) -> None:
    """Bring annotations of any mix of formats into one dataset with label version 0.

    Copies of a picture become one picture with all its faces. Whatever cannot be used is listed with its
    reason in dataset/convert-report.json.

    Example: lidloop convert -s ibug:300w/afw -s ibug:300w/helen -o data/300w
    """
    from lidloop.data.convert import convert as convert_sources

    with _bar("pictures") as progress:
        dataset, labels = convert_sources(
            source, out / "dataset", out / "labels-v0", split=split, seed=seed, keep_splits=keep_splits,
            progress=progress,
        )  # fmt: skip
    report = json.loads((dataset.root / "convert-report.json").read_text())
    if as_json:
        typer.echo(json.dumps({"labels": labels.info, "report": report}, indent=1))
        return
    typer.echo(f"{len(dataset.records)} pictures, {labels.info['total']} faces: {out}")
    rejected = sum(len(s["rejects"]) for s in report["sources"])
    if rejected:
        typer.echo(f"{rejected} annotations were left out; why: {dataset.root / 'convert-report.json'}")


@app.command()
def evaluate(
    source: Sources,
    model: Model = "champion",
    registry: Registry = DEFAULT_REGISTRY,
    sigma: Annotated[float | None, typer.Option(help="OKS sigma of pose AP; default 1/51.")] = None,
    as_json: Json = False,
) -> None:
    """Measure a model on annotated pictures: precision, recall, AP, NME and lid-opening error.

    All pictures of the sources are used. For a model trained on some of them, give others.

    Example: lidloop evaluate --model champion --source ibug:300w/ibug
    """
    import tempfile

    from lidloop.data.convert import convert as convert_sources
    from lidloop.detection.detector import load_detector
    from lidloop.evaluation.evaluate import DEFAULT_SIGMA
    from lidloop.evaluation.evaluate import evaluate as compute

    sigma = DEFAULT_SIGMA if sigma is None else sigma
    with _model(model, registry) as folder, tempfile.TemporaryDirectory() as temporary:
        detector = load_detector(folder)
        place = Path(temporary)
        with _bar("converted") as progress:
            dataset, labels = convert_sources(
                source, place / "dataset", place / "labels", split=0.0, progress=progress
            )
        from lidloop.autolabel.predict import VAL_FLOOR, predict

        with _bar("predicted") as progress:
            found, failures = predict(dataset, detector, dataset.records, floor=VAL_FLOOR, progress=progress)
        sources = {record.id: record.source for record in dataset.records}
        rejects = [
            {"source": row["source"], **reject}
            for row in json.loads((dataset.root / "convert-report.json").read_text())["sources"]
            for reject in row["rejects"]
        ]
        result = compute(found, labels.labels(dataset), sources=sources, sigma=sigma).to_dict()
    if as_json:
        unused = {"rejects": rejects, "unreadable": failures}
        typer.echo(json.dumps({"model": detector.digest, **unused, **result}, indent=1))
        return
    if rejects or failures:
        typer.echo(
            f"not counted: {len(rejects)} annotations that cannot be used, {len(failures)} pictures that "
            "cannot be read; --json names them",
            err=True,
        )
    _print_metrics(result)


@app.command()
def detect(
    image: Annotated[list[Path], typer.Argument(help="Pictures: JPEG or PNG.")],
    model: Model = "champion",
    registry: Registry = DEFAULT_REGISTRY,
    conf: Annotated[float, typer.Option(min=0, max=1, help="Smallest confidence of a face.")] = 0.25,
    draw: Annotated[Path | None, typer.Option(help="Folder for copies with the landmarks drawn in.")] = None,
    as_json: Json = False,
) -> None:
    """Find faces and their 51 landmarks in pictures.

    Example: lidloop detect photo.jpg --draw out/
    """
    from lidloop.cli.drawings import plan_drawings, save_drawing
    from lidloop.detection.detector import load_detector
    from lidloop.drawing import draw_faces
    from lidloop.images import read_rgb
    from lidloop.landmarks import NAMES

    drawings = plan_drawings(draw, image) if draw else []
    answers: list[dict[str, Any]] = []
    failed = 0
    with _model(model, registry) as folder:
        detector = load_detector(folder)
    for number, path in enumerate(image):
        try:
            pixels = read_rgb(path)
        except LidloopError as error:
            failed += 1
            answers.append({"image": str(path), "error": str(error)})
            typer.echo(f"{path}: {error}", err=True)
            continue
        faces = detector.detect([pixels], conf=conf)[0]
        answers.append(
            {
                "image": str(path),
                "faces": [
                    {
                        "score": round(face.score, 4),
                        "box": [round(float(v), 2) for v in face.box],
                        "landmarks": {
                            name: [round(float(x), 2), round(float(y), 2)]
                            for name, (x, y, _) in zip(NAMES, face.points, strict=True)
                        },
                    }
                    for face in faces
                ],
            }
        )
        if draw:
            captions = [f"{face.score:.2f}" for face in faces]
            save_drawing(drawings[number], draw_faces(pixels, faces, captions=captions))
        if not as_json:
            scores = ", ".join(f"{face.score:.2f}" for face in faces)
            typer.echo(
                f"{path}: {len(faces)} face{'s' * (len(faces) != 1)}" + (f" ({scores})" if faces else "")
            )
    if as_json:
        typer.echo(json.dumps(answers, indent=1))
    if failed:
        raise typer.Exit(1)


@app.command()
def quantise(
    run: Annotated[Path, typer.Argument(help="Folder of the run that trained the model: what --out named.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the new bundle.")],
    model: Model = "champion",
    registry: Annotated[str, typer.Option(help="Registry of --model.", show_default="that of the run")] = "",
    as_json: Json = False,
) -> None:
    """Try a model in INT8, and keep that only if it is as good on gold.

    Training pictures of the run calibrate. INT8 is accepted where it loses no recall and neither gold NME nor
    lid-opening error becomes more than 2 % worse. The new bundle says what was tried and what runs. Where
    INT8 was refused it runs as the old one did, and the command exits with 1 and the reasons.

    Example: lidloop quantise runs/mine -o runs/mine-int8
    """
    from lidloop.data.dataset import Dataset, LabelVersion
    from lidloop.models.bundle import Bundle
    from lidloop.report.data import read_json
    from lidloop.training.quantise import quantise as make

    paths = read_json(run / "summary.json", "summary")["paths"]
    dataset, labels = Dataset.open(run / paths["dataset"]), LabelVersion.open(run / paths["labels"])
    with _model(model, registry or str(run / "registry")) as folder:
        made = make(Bundle.open(folder), dataset, labels, out)
    tried = made.info["variants"]["int8"]
    if as_json:
        typer.echo(json.dumps(tried, indent=1))
    else:
        typer.echo(f"INT8 was {'accepted' if tried['accepted'] else 'refused'}: {out}")
        for line in tried["reasons"]:
            typer.echo(f"  {line}")
    if not tried["accepted"]:
        raise typer.Exit(1)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run: what --out named.")],
) -> None:
    """Write a run's report.html and summary.json again from its label versions and evaluations."""
    from lidloop.report import regenerate

    typer.echo(regenerate(run))


@app.command()
def synthesize(
    out: Annotated[Path, typer.Argument(help="Folder to write: pictures, labels and truth.json.")],
    images: Annotated[int, typer.Option(min=1, help="Number of pictures.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same pictures.")] = 0,
    hide: Annotated[float, typer.Option(min=0, max=1, help="Share of faces without a label.")] = 0.0,
) -> None:
    """Draw faces with exact landmarks, pupils and lid heights, and hide some of the labels.

    The folder is a source for `lidloop run --source yolo:FOLDER`.
    """
    from lidloop.synthetic import write_faces_folder

    with _bar("pictures") as progress:
        typer.echo(write_faces_folder(out, images=images, seed=seed, hide=hide, progress=progress))


@contextmanager
def _model(name: str, registry: str) -> Iterator[Path]:
    """The folder of a model: a path as it is, anything else downloaded from the registry and verified."""
    import tempfile

    path = Path(name)
    if path.exists() or len(path.parts) > 1:
        yield path
        return
    from lidloop.registry.registry import Registry as Store

    with tempfile.TemporaryDirectory() as temporary:
        yield Store(registry, create=False).download(name, Path(temporary) / "bundle").root


@contextmanager
def _bar(things: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr that vanishes when it is done."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(things, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_metrics(result: dict[str, Any]) -> None:
    from rich.table import Table

    columns = {"all": result["overall"], **result["by_source"]}
    table = Table("metric", *columns)
    for name in result["overall"]:
        table.add_row(name, *("–" if m[name] is None else f"{m[name]:.4g}" for m in columns.values()))
    Console().print(table)


def _join_others() -> None:
    for entry in entry_points(group="lidloop.commands"):
        try:
            register = entry.load()
        except ModuleNotFoundError as error:
            absent = (error.name or "").split(".")[0]
            if absent in ("kfp", "bentoml", "pyarrow", "pipelines", "serving"):
                continue  # not installed here: an image has only the commands it needs
            raise
        register(app)


def main() -> None:
    """Run the command line; an error a person can put right is one line and exit status 1."""
    _join_others()
    try:
        app()
    except LidloopError as error:
        console = Console(stderr=True)
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        sys.exit("error: datasets need pyarrow, which an image for serving leaves out: pip install pyarrow")
