"""Connection to MLflow: address of a registry, its client, a lock for writers, and readable errors.

Three environment variables of MLflow are set where they are not set already: no telemetry, no progress bars,
no output on stdout.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import sqlite3
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lidloop.errors import LidloopError, RegistryError, cause, is_system_error
from lidloop.files import expand_user

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+]*):")
_HOST_AND_PORT: Final = re.compile(
    r"(localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:.]+\]):\d+(/.*)?"
)
_SERVERS: Final = ("http", "https")
_DATABASES: Final = ("postgresql", "mysql", "mssql")
_CHATTY: Final = ("mlflow", "alembic", "sqlalchemy", "urllib3")
_CONNECT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Address of a registry.

    Attributes:
        uri: address as MLflow takes it.
        shown: the same for messages, without a password.
        database: the sqlite file; None for servers.
        artifacts: URI below which bundles are stored; None where the server decides.
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
    """Read a folder or URI.

    Raises:
        RegistryError: for a file where a folder is expected, a URI of an unsupported kind, a host and port
            without ``http://``, or a URI that cannot be right.
    """
    text = str(where)
    scheme = _SCHEME.match(text)
    kind = scheme[1].split("+")[0].lower() if scheme and not isinstance(where, Path) else ""
    kept = None if artifacts is None else _artifact_uri(artifacts)
    if not isinstance(where, Path) and _HOST_AND_PORT.fullmatch(text) and not os.path.exists(text):
        raise RegistryError(f"{text} is a host and a port; for an MLflow server write http://{text}")
    if kind in (*_SERVERS, *_DATABASES):
        _check_address(text)
        return Place(text, _without_password(text), None, kept)
    if kind == "sqlite":
        name = urllib.parse.unquote(text.partition(":///")[2].partition("?")[0])
        if not name or name == ":memory:":
            raise RegistryError(f"{text} names no file; write sqlite:///PATH or sqlite:////ABSOLUTE/PATH")
        database = _real(expand_user(name))
        shown = text
    elif kind in ("", "file"):
        name = _path_of_file_uri(text) if kind else text
        folder = _real(expand_user(name))
        if folder.exists() and not folder.is_dir():
            raise RegistryError(f"{folder} is a file; a registry is a folder or a URI")
        database = folder / "mlflow.db"
        shown = text
    else:
        raise RegistryError(
            f"{_without_password(text)}: a registry is a folder, or a sqlite: or http(s): URI"
        )
    return Place(_sqlite_uri(database), shown, database, kept or (database.parent / "artifacts").as_uri())


def _sqlite_uri(database: Path) -> str:
    """URI of a database file: SQLAlchemy reads ``?`` as the start of a query, and ``%20`` as a space.

    With the driver in the scheme MLflow does not make the folder of the path as it is spelt in the URI.
    """
    quoted = str(database).replace("%", "%25").replace("?", "%3F")
    scheme = "sqlite" if quoted == str(database) else "sqlite+pysqlite"
    return f"{scheme}:///{quoted}"


def _real(path: Path) -> Path:
    """Absolute path without links; also for a link that leads back to itself."""
    return Path(os.path.realpath(path))


def _path_of_file_uri(uri: str) -> str:
    parts = urllib.parse.urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise RegistryError(f"{uri} names a host, {parts.netloc}; write file:///PATH")
    # A "?" in it is part of the name: a folder takes no query.
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return urllib.request.url2pathname(path)


def _check_address(uri: str) -> None:
    """Check host and port of a server's URI.

    Raises:
        RegistryError: for one without a host, with a broken IPv6 address or a port that cannot be.
    """
    shown = _without_password(uri)
    try:
        url = urllib.parse.urlsplit(uri)
        host, _ = url.hostname, url.port
    except ValueError as error:
        raise RegistryError(f"{shown} is not a valid address: {error}; write http://HOST:PORT") from None
    if not host and url.scheme in _SERVERS:
        raise RegistryError(f"{shown} names no host; write http://HOST:PORT")


def connect(place: Place) -> Any:
    """Open MLflow's client. Creates a sqlite file and its tables where there are none.

    Raises:
        RegistryError: where MLflow is not installed, nothing answers at the address, or the sqlite file is of
            another program.
    """
    _answers(place)
    client = import_client(place)
    with quiet():  # again: the import has set up MLflow's own loggers
        if place.database is not None:
            place.database.parent.mkdir(parents=True, exist_ok=True)
            _refuse_foreign_database(place.database)
        return client(tracking_uri=place.uri, registry_uri=place.uri)


def import_client(place: Place) -> Any:
    """Import MLflow and what it needs for this place, and return its client class.

    A program with several threads calls this first, in its main thread: libraries that are imported in two
    threads at a time may find each other half imported.

    Raises:
        RegistryError: where MLflow is not installed.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # would spoil --json
    try:
        from mlflow.tracking import MlflowClient

        if place.database is not None:
            import mlflow.store.model_registry.sqlalchemy_store
            import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    except ImportError as error:
        raise RegistryError("the registry needs MLflow: pip install 'lidloop[registry]'") from error
    return MlflowClient


def _refuse_foreign_database(database: Path) -> None:
    """Check that a sqlite file is MLflow's: MLflow would add its tables to any other.

    Raises:
        RegistryError: for a database with tables, but without MLflow's.
    """
    if not database.is_file() or not database.stat().st_size:
        return
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    names = {name for (name,) in rows}
    if names and not names & {"alembic_version", "experiments"}:
        raise RegistryError(f"{database} is a database of another program; give another file or folder")


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
    """Hold the lock file of a local registry, for one writer at a time. Servers resolve races themselves.

    Raises:
        RegistryError: where the lock file cannot be made.
    """
    if place.database is None:
        yield
        return
    import fcntl

    try:
        place.database.parent.mkdir(parents=True, exist_ok=True)
        handle = (place.database.parent / ".lidloop.lock").open("w")
    except OSError as error:
        raise RegistryError(f"cannot write to the registry {place.shown}: {cause(error)}") from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the loggers of MLflow and its libraries in the block."""
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
        of_library = module in ("mlflow", "sqlalchemy", "requests", "urllib3", "alembic", "sqlite3")
        if is_system_error(error) and not of_library:
            raise RegistryError(f"cannot {doing} in the registry {place.shown}: {cause(error)}") from error
        if not of_library:
            raise
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RegistryError(
            f"cannot {doing} in the registry {place.shown}: {first}. {_advice(place, str(error))}"
        ) from error


def _advice(place: Place, text: str) -> str:
    low = text.lower()
    if "out-of-date database schema" in low:
        return f"Back it up, then: mlflow db upgrade {place.shown}"
    if "not a database" in low or "malformed" in low:
        return "The sqlite file is damaged or something else; restore it or choose another folder"
    if "locked" in low:
        return "Another program holds the database; try again when it is done"
    if "disk is full" in low or "no space left" in low:
        return "The disk is full; make room and try again"
    if "readonly" in low or "read-only" in low or "permission denied" in low:
        return "The folder cannot be written; change its permissions or choose another"
    if "401" in low or "403" in low or "unauthorized" in low or "permission" in low:
        return "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    if place.database is None:
        return "Check that the MLflow server is up and is MLflow 3"
    return f"Check {place.database.parent}"


def _artifact_uri(artifacts: str | Path) -> str:
    text = str(artifacts)
    return text if "://" in text or text.startswith("file:") else _real(expand_user(text)).as_uri()


def _without_password(uri: str) -> str:
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", uri)
