"""Reading of the registry for the exporter: all versions, and files of the newest one and the champion."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import ssl
import urllib.parse
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lidloop.errors import ModelError, RegistryError
from lidloop.exporter.figures import RegistryReading
from lidloop.models.bundle import WATCH
from lidloop.registry.mlflow_backend import Place, import_client
from lidloop.registry.registry import Registry
from lidloop.registry.versions import ModelVersion

_log = logging.getLogger("lidloop")

EVALUATION: Final = "evaluation.json"
_KEPT: Final = 8  # number of versions whose files are cached
_TLS_SECONDS: Final = 5.0
_MLFLOW_SETTINGS: Final = {
    # MLflow retries for minutes by default; the next reading retries anyway.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    # A pooled connection would keep reading a file that was moved or replaced.
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
}


class RegistrySource:
    """Reader of one registry. Files of a version are cached, as a version never changes."""

    def __init__(self, where: str, *, model: str) -> None:
        """Check the address and import MLflow, without connecting.

        Args:
            where: address of the registry, as in ``Registry``.
            model: name of the registered model.

        Raises:
            RegistryError: for an invalid address, or without MLflow.
        """
        for name, value in _MLFLOW_SETTINGS.items():
            os.environ.setdefault(name, value)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # logs the pool class
        self.where, self.model = where, model
        self._files: OrderedDict[str, Mapping[str, Mapping[str, Any]]] = OrderedDict()
        import_client(Registry(where, name=model).place)

    def read(self) -> RegistryReading:
        """Read all versions, and the files of the newest version and the champion.

        Raises:
            RegistryError: if the registry does not exist or does not respond.
        """
        registry = Registry(self.where, name=self.model, create=False)
        damaged: list[str] = []
        versions = registry.versions(damaged=damaged)
        left_out = len(damaged)
        files: dict[str, Mapping[str, Mapping[str, Any]]] = {}
        for version in {v.version: v for v in versions if v.champion or v is versions[-1]}.values():
            try:
                files[version.version] = self._read_files(registry, version)
            except (ModelError, RegistryError) as error:
                _log.warning("left out: %s", error)
                left_out += 1
        newest = files.get(versions[-1].version, {}) if versions else {}
        return RegistryReading(
            versions=versions,
            evaluations={number: found[EVALUATION] for number, found in files.items() if EVALUATION in found},
            watch=newest.get(WATCH),
            left_out=left_out,
            certificate_ends=certificate_end(registry.place),
            space={} if registry.place.database is None else space(registry.place.database.parent),
        )

    def _read_files(self, registry: Registry, version: ModelVersion) -> Mapping[str, Mapping[str, Any]]:
        known = self._files.pop(version.bundle, None)
        if known is None:
            content = registry.read(version, (EVALUATION, WATCH))
            known = {name: _object(data, name, version) for name, data in content.items()}
        self._files[version.bundle] = known
        while len(self._files) > _KEPT:
            self._files.popitem(last=False)
        return known


def _object(data: bytes, name: str, version: ModelVersion) -> Mapping[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise ModelError(f"{name} of version {version.version} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{name} of version {version.version} is not a JSON object")
    return content


def space(folder: Path) -> dict[str, float]:
    """Return total size and free space of the disk that holds a folder, in bytes."""
    usage = shutil.disk_usage(folder)
    return {"size": usage.total, "free": usage.free}


def certificate_end(place: Place) -> float | None:
    """Return the expiry of an https server's certificate as a Unix time; None if not known.

    The certificate is not verified, so that an expired one is reported too; no request is sent.
    """
    url = urllib.parse.urlsplit(place.uri)
    if url.scheme != "https" or not url.hostname:
        return None
    from cryptography.x509 import load_der_x509_certificate

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((url.hostname, url.port or 443), timeout=_TLS_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=url.hostname) as secure,
        ):
            der = secure.getpeercert(binary_form=True)
    except OSError:
        return None  # unreachable or behind a proxy; reading the registry reports that
    return None if der is None else load_der_x509_certificate(der).not_valid_after_utc.timestamp()
