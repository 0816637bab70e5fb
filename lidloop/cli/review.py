"""``lidloop review``: the order in which to look at labels, and the decisions of people."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from lidloop.cli.console import add_row, console, new_table, progress, say
from lidloop.cli.options import AsJson, RegistryPlace, model_folder
from lidloop.cli.paths import optional_place, path, place
from lidloop.errors import DatasetError, LidloopError, doing
from lidloop.review import REVIEWED
from lidloop.review.picture_names import MAX_HOURS, How
from lidloop.starter.choose import DEFAULT_REGISTRY
from lidloop.storage.files import is_stored

if TYPE_CHECKING:
    from lidloop.data.dataset import Dataset, LabelVersion
    from lidloop.labels import LabelSet
    from lidloop.review.faces import Faces
    from lidloop.review.queue import Entry

QUEUE_FORMAT: Final = 1

review_app = typer.Typer(
    name="review",
    no_args_is_help=True,
    help="Look at the labels of a run, correct and decline them. `queue` says where a look is worth it, "
    "`export` writes tasks for an annotation tool, `import` makes the next label version of the decisions. "
    "Nothing leaves this machine. More: docs/REVIEW.md.",
)

Run = Annotated[
    str,
    typer.Argument(
        parser=place,
        metavar="RUN",
        help="A finished run: its --out, or its s3:// address (of a run on a cluster the artifact "
        "folder of its report step).",
    ),
]


@review_app.command("queue")
def queue_command(
    run: Run,
    human: Annotated[bool, typer.Option("--human", help="Order the human labels, too.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Print so many faces; 0 prints all.")] = 20,
    model: Annotated[
        str,
        typer.Option(
            parser=optional_place,
            metavar="DIR|FILE.onnx|champion|VERSION",
            help="Also compare with this model's predictions on mirrored and smaller pictures; takes as long "
            "as two predictions of every picture.",
        ),
    ] = "",
    registry: RegistryPlace = DEFAULT_REGISTRY,
    as_json: AsJson = False,
) -> None:
    """List grown and dropped faces, those first that are most likely wrong or wrongly dropped.

    The order comes from the model's confidence, the overlap with other labels, the disagreement between
    iterations, and the distance of the shape from human labels. The number is an order, not a probability.

    Example: lidloop review queue runs/mine --limit 50
    """
    from lidloop.report.stored_run import run_here

    with doing(f"read the run in {run}"), run_here(run) as folder:
        dataset, labels, predictions = open_run(folder)
        if model and is_stored(run) and "pictures" not in dataset.info:
            raise LidloopError("--model needs the pictures of the run on this machine")
        views = _views(dataset, model, registry) if model else []
        _, entries = order_faces(dataset, labels, predictions, human=human, views=views)
    shown = entries[:limit] if limit else entries
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "format": QUEUE_FORMAT, "dataset": dataset.digest, "labels": labels.version,
                    "faces": len(entries), "queue": [asdict(entry) for entry in shown],
                },
                indent=1,
            )
        )  # fmt: skip
        return
    table = new_table("face", "kind", "suspicion", "mostly for", right=("suspicion",))
    for entry in shown:
        add_row(table, entry.face, entry.kind, f"{entry.suspicion:.2f}", entry.why)
    console().print(table)
    say(f"{len(shown)} of {len(entries)} faces of label version {labels.version}")


@review_app.command("export")
def export_command(
    run: Run,
    to: Annotated[
        str, typer.Option("--to", metavar="label-studio|cvat|labelme|coco", help="Tool to write for.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", parser=path, help="Folder to write, new or empty; keep it for the import."
        ),
    ],
    limit: Annotated[int, typer.Option(min=0, help="So many faces of the queue; 0 takes all.")] = 100,
    human: Annotated[bool, typer.Option("--human", help="Order the human labels, too.")] = False,
    prefix: Annotated[
        str,
        typer.Option(
            "--picture-prefix",
            help="Put before the file names of pictures, such as s3://BUCKET/PREFIX/ or https://…/.",
        ),
    ] = "",
    pictures: Annotated[
        How | None,
        typer.Option(
            help="Name the pictures by their path on this machine, by their s3:// address, or by a URL from "
            "which anybody who has it can read the picture until --expires.",
            show_default="path; s3 for a run in a store",
        ),
    ] = None,
    expires: Annotated[
        int, typer.Option(min=0, max=MAX_HOURS, metavar="HOURS", help="Validity of presigned URLs.")
    ] = 0,
) -> None:
    """Write the pictures at the front of the queue as tasks for an annotation tool, with all their faces.

    Each face goes out with its points by name (left and right are the picture's sides), visibility, box,
    score and origin. Pictures are named, not copied. OUT/manifest.json says what went out; it stays here.

    Example: lidloop review export runs/mine --to label-studio --out review-1 --limit 200
    """
    from lidloop.files import folder_atomic, write_atomic
    from lidloop.report.stored_run import dataset_place, run_here
    from lidloop.review import places
    from lidloop.review.exchange import MANIFEST, make_manifest
    from lidloop.review.formats.tools import TOOLS

    if to not in TOOLS:
        raise LidloopError(f"--to must be one of {', '.join(TOOLS)}, not {to!r}")
    how = _how(run, pictures, prefix=prefix, expires=expires)
    with doing(f"export the queue of {run}"), run_here(run) as here, folder_atomic(out) as folder:
        dataset, labels, predictions = open_run(here)
        faces, entries = order_faces(dataset, labels, predictions, human=human)
        if prefix:
            name = places.with_prefix(prefix)
        elif how is How.PATH:
            name = places.on_this_machine(dataset)
        else:
            name = places.in_store(dataset, dataset_place(run))
        manifest = make_manifest(
            dataset, labels.version, faces, entries[:limit] if limit else entries, to=to, place=name
        )
        kept = places.without_parameters(manifest)
        sent = places.presigned(manifest, expires) if how is How.PRESIGNED else kept
        TOOLS[to].write(sent, folder)
        write_atomic(folder / MANIFEST, kept.model_dump_json() + "\n")
    count = sum(len(picture.faces) for picture in manifest.pictures)
    say(f"{len(manifest.pictures)} pictures with {count} faces for {to}: {out}")


@review_app.command("import")
def import_command(
    run: Run,
    files: Annotated[
        list[Path],
        typer.Argument(parser=path, metavar="FILE", help="Files of decisions, or of a tool with --export."),
    ],
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", parser=path, metavar="DIR", help="The files come from a tool that got this export."
        ),
    ] = None,
    reviewer: Annotated[
        str, typer.Option(help="Name of the person, if it is to be kept; it stays in the ledger.")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=path,
            help="Folder of the new label version.",
            show_default="RUN/reviewed/labels-vK, in a store, too",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the next label version of the decisions in files.

    All decisions are checked first; if one cannot be taken over, nothing is written. A confirmed or corrected
    face becomes a human label, a declined one is not grown again. The same file twice changes nothing.

    From a tool's export: a face at its place is confirmed, a moved one corrected, a missing one declined, a
    new one added; pictures that the file does not hold were not looked at.

    Where people disagree on a face, all opinions are kept and the label stays as it is.

    Examples: lidloop review import runs/mine decisions.json

    lidloop review import runs/mine project-1.json --export review-1
    """
    from lidloop.report.stored_run import publish_review, run_here
    from lidloop.review.apply import import_decisions
    from lidloop.review.decisions import now, read_decisions, signed
    from lidloop.review.exchange import decisions_of, read_manifest
    from lidloop.review.formats.tools import TOOLS

    with doing(f"import decisions into {run}"), run_here(run) as here:
        dataset, labels, predictions = open_run(here)
        if export is None:
            read = {str(file): read_decisions(file) for file in files}
        else:
            manifest = read_manifest(export)
            if manifest.to not in TOOLS:
                raise DatasetError(
                    f"{export} was written for {manifest.to!r}, which this lidloop does not read"
                )
            tool, at = TOOLS[manifest.to], now()
            read = {
                str(file): decisions_of(manifest, tool.read(file, manifest), tool=manifest.to, at=at)
                for file in files
            }
        if reviewer:
            read = {name: signed(file, reviewer) for name, file in read.items()}
        target = out or here / REVIEWED / f"labels-v{labels.version + 1}"
        version, report = import_decisions(dataset, labels, read, target, predictions=predictions)
        written = str(version.root)
        if is_stored(run) and not out:
            written = run if version is labels else publish_review(version, run)
    if as_json:
        content = {"version": version.version, "folder": written, **report.to_json()}
        typer.echo(json.dumps(content, indent=1))
        return
    if version is labels:
        say(f"nothing new: label version {labels.version} carries all {report.already} decisions already")
        return
    done = ", ".join(f"{n} {verdict}" for verdict, n in sorted(report.counts.items())) or "no change"
    say(f"label version {version.version}: {done}: {written}")
    if report.already:
        say(f"{report.already} decisions were there already")
    if report.disputes:
        say(f"people disagree on {len(report.disputes)} faces, which stay as they were:")
        for face in report.disputes:
            say(f"  {face}")


def _how(run: str, pictures: How | None, *, prefix: str, expires: int) -> How:
    """Kind of place of the pictures.

    Raises:
        LidloopError: for options that exclude each other.
    """
    if prefix and pictures:
        raise LidloopError("give --pictures or --picture-prefix, not both")
    how = pictures or (How.S3 if is_stored(run) else How.PATH)
    if (how is How.PRESIGNED) != (expires > 0):
        raise LidloopError(
            "--pictures presigned makes URLs from which anybody who has them can read the pictures: say for "
            "how many hours with --expires, which is for these URLs alone"
        )
    if how is How.PATH and is_stored(run) and not prefix:
        raise LidloopError("the pictures of this run are not on this machine: --pictures s3 or presigned")
    return how


def order_faces(
    dataset: Dataset, labels: LabelVersion, predictions: LabelSet | None, *, human: bool, views: Any = ()
) -> tuple[Faces, list[Entry]]:
    """Faces of a label version and its queue; ``views`` are predictions on mirrored and smaller pictures."""
    from lidloop.data.ledgers import read_ledgers
    from lidloop.review.faces import read_faces_to_review
    from lidloop.review.queue import Evidence, make_queue

    ledgers = read_ledgers(labels)
    faces = read_faces_to_review(dataset, labels, predictions, ledgers)
    sizes = {r.id: (r.width, r.height) for r in dataset.records}
    evidence = Evidence(sizes, ledgers, [] if predictions is None else [predictions], views)
    return faces, make_queue(faces, evidence, human=human)


def open_run(run: Path) -> tuple[Dataset, LabelVersion, LabelSet | None]:
    """Dataset, newest label version (a reviewed one, if there is one) and newest predictions of a run."""
    from lidloop.data.dataset import Dataset, LabelVersion
    from lidloop.data.tables import read_faces
    from lidloop.labels import concat
    from lidloop.report.data import read_summary, run_paths

    paths = run_paths(run, read_summary(run))
    labels = LabelVersion.open(paths.labels)
    for folder in sorted((run / REVIEWED).glob("labels-v*/version.json")):
        other = LabelVersion.open(folder.parent)
        if other.version > labels.version:
            labels = other
    dataset = Dataset.open(paths.dataset)
    if labels.dataset_digest != dataset.digest:
        raise DatasetError(f"{labels.root} holds labels of another dataset than {dataset.root}")
    shards = [p / "faces.parquet" for p in paths.predictions if (p / "faces.parquet").exists()]
    return dataset, labels, concat([read_faces(p)[0] for p in shards]) if shards else None


def _views(dataset: Dataset, model: str, registry: str) -> list[Any]:
    from lidloop.detection.detector import load_detector
    from lidloop.review.views import predict_views

    try:
        with model_folder(model, registry) as folder, progress("images") as update:
            return list(predict_views(dataset, load_detector(folder), dataset.records, progress=update))
    except ImportError as error:
        raise LidloopError(f"--model needs a runtime for networks ({error})") from error
