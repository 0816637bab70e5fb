"""A run's folder: what it was begun with, what a killed step left in it, what it ends with.

::

    run.json        the settings it was begun with, and the run's name in the registry
    pipeline.yaml   the compiled pipeline
    steps/          what every step wrote
    cache/          which steps are finished: KFP's cache
    checkpoints/    what a killed training needs to go on
    logs/run.log    KFP's log of every start
    registry/       the registry, if no other was named
    timings.json, summary.json, report.html
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lidloop.files import write_atomic
from pipelines.local.engine import RunError, StepRecord
from pipelines.settings import differences

BEGUN: Final = "run.json"
PIPELINE: Final = "pipeline.yaml"
_OWN: Final = (
    "steps",
    "cache",
    "checkpoints",
    "logs",
    PIPELINE,
    "timings.json",
    "summary.json",
    "report.html",
    BEGUN,
)


def begin(out: Path, identity: Mapping[str, Any], *, fresh: bool) -> str:
    """Begin a run in ``out`` or go on with the one there, and return its name in the registry.

    Args:
        out: the folder, which the caller holds locked.
        identity: what must be the same for a run to go on.
        fresh: forget a run that is there and begin anew. Its registry stays.

    Raises:
        RunError: where ``out`` holds a run with other settings, or something else than a run.
    """
    file = out / BEGUN
    begun = _read_begun(file)
    if fresh and begun is not None:
        for name in _OWN:
            _remove(out / name)
        begun = None
    if begun is not None:
        other = differences(begun["identity"], json.loads(json.dumps(dict(identity))))
        if other:
            raise RunError(
                f"{out} holds a run with other settings: {'; '.join(other)}. "
                "Start it with the same settings, begin anew with --fresh, or give another --out"
            )
        clear_leftovers(out)
        return str(begun["run"])
    strange = [path.name for path in out.iterdir() if path.name not in (".lock", "registry")]
    if strange:
        raise RunError(f"{out} is not empty and holds no run ({strange[0]} is in it); give another --out")
    run = f"{out.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    write_atomic(file, json.dumps({"run": run, "identity": dict(identity)}, indent=1) + "\n")
    return run


def _read_begun(file: Path) -> dict[str, Any] | None:
    """Content of ``run.json``; None where there is none.

    Raises:
        RunError: for a ``run.json`` that lidloop did not write.
    """
    try:
        begun = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(begun["run"], str) and isinstance(begun["identity"], dict):
            return dict(begun)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise RunError(f"{file} is not that of a lidloop run; give another --out")


def clear_leftovers(out: Path) -> None:
    """Remove what steps wrote that did not end: every folder under ``steps`` that the cache does not know."""
    known = {Path(place).parent for place in _cached_places(out / "cache")}
    kept = known | {parent for path in known for parent in path.parents}

    def sweep(folder: Path) -> None:
        for child in folder.iterdir():
            if child in known:
                continue
            if child in kept:
                sweep(child)
            else:
                _remove(child)

    if (out / "steps").is_dir():
        sweep(out / "steps")


def collect(out: Path, records: Sequence[StepRecord]) -> dict[str, Any]:
    """Put the report of a finished run into ``out``, its paths relative to there, and return its summary."""
    source = Path(next(r for r in records if r.step == "report").outputs["folder"])
    summary: dict[str, Any] = json.loads((source / "summary.json").read_text())
    summary["paths"] = _moved(summary["paths"], source, out)
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_file() and relative.name not in ("summary.json", "timings.json"):
            write_atomic(out / relative, path.read_bytes())
    write_atomic(out / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    return summary


def _moved(value: Any, source: Path, target: Path) -> Any:
    """Paths relative to ``source`` as paths relative to ``target``."""
    if isinstance(value, dict):
        return {name: _moved(entry, source, target) for name, entry in value.items()}
    if isinstance(value, list):
        return [_moved(entry, source, target) for entry in value]
    return os.path.relpath(source / value, target) if isinstance(value, str) else value


def _cached_places(cache: Path) -> Iterator[str]:
    """Paths of the artifacts of finished steps."""
    for file in sorted(cache.glob("*.json")):
        for value in json.loads(file.read_text()).values():
            if isinstance(value, dict) and "uri" in value:
                yield value["uri"]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
