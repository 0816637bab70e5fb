"""Folder of a local run: its files, start, clean-up after a kill, and results.

::

    run.json        settings of the run, and its name in the registry
    pipeline.yaml   the compiled pipeline
    steps/          outputs of the steps
    cache/          KFP's cache of finished steps
    checkpoints/    checkpoints from which a killed training is resumed
    logs/run.log    KFP's log of every start
    registry/       the registry, unless another was given
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
    """Start a run in ``out`` or resume the one there, and return its name in the registry.

    Args:
        out: the folder, locked by the caller.
        identity: values that must be unchanged to resume a run.
        fresh: delete the run in the folder and start anew. Its registry stays.

    Raises:
        RunError: if ``out`` holds a run with other settings, or other files.
    """
    file = out / BEGUN
    begun = _read_begun(file)
    if fresh and begun is not None:
        for name in _OWN:
            _remove(out / name)
        begun = None
    if begun is not None:
        other = differences(begun["identity"], json.loads(json.dumps(dict(identity))))
        version = begun["identity"].get("lidloop")
        if version != identity.get("lidloop"):
            raise RunError(
                f"{out} holds a run of lidloop {version}, which only that version can resume. Start anew "
                "with --fresh, or give another --out"
            )
        if other:
            raise RunError(
                f"{out} holds a run with other settings: {'; '.join(other)}. "
                "Start it with the same settings, start anew with --fresh, or give another --out"
            )
        clear_leftovers(out)
        return str(begun["run"])
    other_files = [path.name for path in out.iterdir() if path.name not in (".lock", "registry")]
    if other_files:
        raise RunError(f"{out} is not empty and holds no run ({other_files[0]} is in it); give another --out")
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
    """Remove the outputs of unfinished steps: folders below ``steps`` that are not in the cache."""
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
    """Copy the report of a finished run to ``out``, with paths relative to it, and return its summary."""
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
    """Convert paths relative to ``source`` into paths relative to ``target``."""
    if isinstance(value, dict):
        return {name: _moved(entry, source, target) for name, entry in value.items()}
    if isinstance(value, list):
        return [_moved(entry, source, target) for entry in value]
    return os.path.relpath(source / value, target) if isinstance(value, str) else value


def _cached_places(cache: Path) -> Iterator[str]:
    """Paths of the artifacts in the cache."""
    for file in sorted(cache.glob("*.json")):
        for value in json.loads(file.read_text()).values():
            if isinstance(value, dict) and "uri" in value:
                yield value["uri"]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
