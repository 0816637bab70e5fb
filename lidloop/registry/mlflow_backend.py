"""How lidloop talks to MLflow: where a registry is, one client, one writer at a time, readable errors.

No MLflow setting of the process is changed but three environment variables, where they are not set already:
its telemetry stays off, and so do its progress bars and what it prints.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lidloop.errors import LidloopError, RegistryError

_SCHEME: Final = re.compile(r"([a-z][a-z0-9+]*):")
_SERVERS: Final = ("http", "https")
_DATABASES: Final = ("postgresql", "mysql", "mssql")
_CHATTY: Final = ("mlflow", "alembic", "sqlalchemy", "urllib3")
_CONNECT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a registry is.

    Attributes:
        uri: what MLflow is given.
        shown: the same for people, without a password.
        database: the sqlite file; None for servers.
        artifacts: URI under which bundles are kept; None where the server decides.
    """

    uri: str
    shown: str
    database: Path | None
    artifacts: str | None

    def bundle_of(self, mlflow_run: str, artifact: str) -> Path | None:
        """Folder of an artifact in a local registry, also in one that was moved since; None for others."""
        if self.database is None or self.artifacts is None or not self.artifacts.startswith("file:"):
            return None
        root = urllib.request.url2pathname(urllib.parse.urlsplit(self.artifacts).path)
        return Path(root) / mlflow_run / "artifacts" / artifact


def locate(where: str | Path, artifacts: str | Path | None = None) -> Place:
    """Understand a folder or URI.

    Raises:
        RegistryError: for a file where a folder should be, or a URI of a kind that is not supported.
    """
    text = str(where)
    scheme = _SCHEME.match(text)
    kind = scheme[1].split("+")[0] if scheme and not isinstance(where, Path) else ""
    kept = None if artifacts is None else _artifact_uri(artifacts)
    if kind in (*_SERVERS, *_DATABASES):
        return Place(text, _without_password(text), None, kept)
    if kind == "sqlite":
        name = text.partition(":///")[2]
        if not name or name == ":memory:":
            raise RegistryError(f"{text} names no file; write sqlite:///PATH or sqlite:////ABSOLUTE/PATH")
        database = Path(name).resolve()
        shown = text
    elif kind in ("", "file"):
        folder = Path(urllib.parse.urlsplit(text).path if kind else where).expanduser().resolve()
        if folder.exists() and not folder.is_dir():
            raise RegistryError(f"{folder} is a file; a registry is a folder or a URI")
        database = folder / "mlflow.db"
        shown = str(where)
    else:
        raise RegistryError(
            f"{_without_password(text)}: a registry is a folder, or a sqlite: or http(s): URI"
        )
    return Place(f"sqlite:///{database}", shown, database, kept or (database.parent / "artifacts").as_uri())


def connect(place: Place) -> Any:
    """Open MLflow's client. Creates a sqlite file and its tables where there are none.

    Raises:
        RegistryError: where MLflow is not installed, or nothing answers at the address.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # would spoil --json
    _answers(place)
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise RegistryError("the registry needs MLflow: pip install 'lidloop[registry]'") from error
    with quiet():  # again: the import has set up MLflow's own loggers
        if place.database is not None:
            place.database.parent.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=place.uri, registry_uri=place.uri)


def _answers(place: Place) -> None:
    # MLflow asks a dead server again for minutes before it gives up; a person should know at once.
    url = urllib.parse.urlsplit(place.uri)
    host = url.hostname or ""
    if url.scheme not in _SERVERS:
        return
    if url.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise RegistryError(
            f"no registry answers at {place.shown} ({error}); is the MLflow server up and the address right?"
        ) from error


@contextmanager
def lock(place: Place) -> Iterator[None]:
    """Let one process at a time write to a local registry. Servers settle races by themselves."""
    if place.database is None:
        yield
        return
    import fcntl

    try:
        place.database.parent.mkdir(parents=True, exist_ok=True)
        handle = (place.database.parent / ".lidloop.lock").open("w")
    except OSError as error:
        raise RegistryError(f"cannot write to the registry {place.shown}: {error}") from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow and its libraries off the console, and leave their loggers as they were."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def translated(place: Place, doing: str) -> Iterator[None]:
    """Turn what MLflow, SQLAlchemy and HTTP raise into a ``RegistryError`` with cause and advice."""
    try:
        yield
    except LidloopError:
        raise
    except Exception as error:
        module = type(error).__module__.split(".")[0]
        if module not in ("mlflow", "sqlalchemy", "requests", "urllib3", "alembic", "sqlite3") and not (
            isinstance(error, OSError)
        ):
            raise
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RegistryError(
            f"cannot {doing} in the registry {place.shown}: {cause}. {_advice(place, str(error))}"
        ) from error


def _advice(place: Place, text: str) -> str:
    low = text.lower()
    if "out-of-date database schema" in low:
        return f"Back it up, then: mlflow db upgrade {place.shown}"
    if "not a database" in low or "malformed" in low:
        return "The sqlite file is damaged or something else; restore it or choose another folder"
    if "locked" in low:
        return "Another program holds the database; try again when it is done"
    if "readonly" in low or "read-only" in low or "permission denied" in low:
        return "The folder cannot be written; change its permissions or choose another"
    if "401" in low or "403" in low or "unauthorized" in low or "permission" in low:
        return "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    if place.database is None:
        return "Check that the MLflow server is up and is MLflow 3"
    return f"Check {place.database.parent}"


def _artifact_uri(artifacts: str | Path) -> str:
    text = str(artifacts)
    return text if "://" in text or text.startswith("file:") else Path(text).resolve().as_uri()


def _without_password(uri: str) -> str:
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", uri)
