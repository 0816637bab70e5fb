"""Registry of model versions with lineage and champion, backed by MLflow.

A registry is one registered model. It holds one version per (run, iteration), with the bundle as artifact.
All that a decision or a table needs lies in the version's tags, so that it takes one query, and a champion's
history lies in the registered model's tags, one per change, never rewritten. The alias ``champion`` is what
others read; where somebody moved it with MLflow's own tools, the alias is right and the history follows.

MLflow needs about two seconds to import and open an existing sqlite file, a few more to create one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from lidloop.errors import ModelError, RegistryError
from lidloop.files import folder_atomic
from lidloop.models.bundle import MANIFEST, Bundle
from lidloop.registry import mlflow_backend as backend
from lidloop.registry.versions import ChampionChange, ModelVersion, line_of_champions, parse_version

CHAMPION: Final = "champion"
ARTIFACT: Final = "bundle"
_EVENT: Final = "lidloop.champion."


class Registry:
    """The versions of one model.

    Example:
        >>> registry = Registry("runs/registry")                                     # doctest: +SKIP
        >>> version = registry.register(bundle, run="a", iteration=0)                # doctest: +SKIP
        >>> registry.promote(version.version, reason="the first")                    # doctest: +SKIP
    """

    def __init__(
        self,
        where: str | Path,
        *,
        name: str = "lidloop",
        artifacts: str | Path | None = None,
        create: bool = True,
    ) -> None:
        """Point at a registry; MLflow is imported and the database opened at first use.

        Args:
            where: a folder (``DIR/mlflow.db`` and ``DIR/artifacts``), or a ``sqlite:``, ``http(s):`` or
                other database URI that MLflow understands.
            name: name of the registered model.
            artifacts: where bundles are kept; beside a sqlite file by default, for other URIs where the
                server decides.
            create: make a local registry that is not there; if False that is an error.

        Raises:
            RegistryError: for a place that cannot be a registry, or none there with ``create=False``.
        """
        self.name = name
        self.place = backend.locate(where, artifacts)
        if self.place.database is not None and not create and not self.place.database.is_file():
            raise RegistryError(
                f"there is no registry in {self.place.shown}: `lidloop run` makes one; "
                "or say where it is with --registry or LIDLOOP_REGISTRY"
            )

    def register(
        self, bundle: Bundle, *, run: str, iteration: int, parent: str | None = None
    ) -> ModelVersion:
        """Add a bundle as the version of (run, iteration), or return the version that is there already.

        A registration that was killed half-way is completed; of two that race, one version remains.

        Raises:
            ModelError: for a bundle that fails its checks or belongs to another run or iteration.
            RegistryError: where (run, iteration) already has a version with another model.
        """
        bundle = Bundle.open(bundle.root)
        if (bundle.info["run"], bundle.info["iteration"]) != (run, iteration):
            raise ModelError(
                f"{bundle.root} is of run {bundle.info['run']}, iteration {bundle.info['iteration']}; "
                f"it cannot be registered as {run}, {iteration}"
            )
        with self._exclusive(f"register iteration {iteration} of run {run}"):
            there = self.find(run, iteration)
            if there is None:
                self._add(bundle, run, iteration, parent if parent is not None else bundle.info["parent"])
                there = self._settle(run, iteration)
        if there.model != bundle.model_digest:
            raise RegistryError(
                f"iteration {iteration} of run {run} is registered already, as version {there.version}, with "
                "another model. Versions never change: give the new training another run name"
            )
        return there

    def versions(self, *, damaged: list[str] | None = None) -> list[ModelVersion]:
        """All versions, by rising number. Versions that lidloop did not make are left out.

        Args:
            damaged: takes the numbers of versions whose tags cannot be read, instead of an error.
        """
        with self._calls("list the versions"):
            client = self._client
            champion = self._champion_number()
            found: list[Any] = []
            token = None
            while True:
                page = client.search_model_versions(
                    f"name = '{self.name}'", max_results=1000, page_token=token
                )
                found += page
                token = page.token
                if not token:
                    break
        parsed = []
        for entry in found:
            if "lidloop.run" not in entry.tags:
                continue
            try:
                parsed.append(parse_version(entry, champion))
            except RegistryError:
                if damaged is None:
                    raise
                damaged.append(str(entry.version))
        return sorted(parsed, key=lambda v: int(v.version))

    def find(self, run: str, iteration: int) -> ModelVersion | None:
        """The version of (run, iteration), or None."""
        return next((v for v in self.versions() if (v.run, v.iteration) == (run, iteration)), None)

    def get(self, version: str) -> ModelVersion:
        """The version with this number, or the one called ``champion``.

        Raises:
            RegistryError: where there is none.
        """
        versions = self.versions()
        for entry in versions:
            if entry.version == version or (version == CHAMPION and entry.champion):
                return entry
        if version == CHAMPION:
            raise RegistryError(
                f"{self.place.shown} has no champion: promote a version with `lidloop registry promote`"
            )
        known = ", ".join(v.version for v in versions) or "none"
        raise RegistryError(f"{self.place.shown} has no version {version!r}; it has: {known}")

    def champion(self) -> ModelVersion | None:
        """The champion, or None where there is none."""
        return next((v for v in self.versions() if v.champion), None)

    def promote(self, version: str, *, reason: str) -> ModelVersion:
        """Make a version the champion, without asking the gate. No change if it is the champion already.

        Raises:
            RegistryError: where there is no such version.
        """
        with self._exclusive(f"promote version {version}"):
            wanted = self.get(version)
            if not wanted.champion:
                self._set_champion("promote", wanted.version, reason)
        return self.get(wanted.version)

    def rollback(self, *, reason: str = "rolled back") -> ModelVersion:
        """Make the previous champion the champion again.

        Raises:
            RegistryError: where there was none before, or it was deleted.
        """
        with self._exclusive("roll back"):
            current = self.get(CHAMPION).version
            line = line_of_champions(self.history())
            if current in line:
                line = line[: len(line) - 1 - line[::-1].index(current)]
            if not line:
                raise RegistryError(f"version {current} is the first champion; there is none to go back to")
            self._set_champion("rollback", self.get(line[-1]).version, reason)
        return self.get(CHAMPION)

    def history(self) -> list[ChampionChange]:
        """Every change of the champion, oldest first."""
        with self._calls("read the champion's history"):
            tags = self._client.get_registered_model(self.name).tags
        return [ChampionChange(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(_EVENT)]

    def note_gate(self, version: str, *, promote: bool, reasons: list[str], against: str | None) -> None:
        """Store the decision of the promotion gate in the version's tags."""
        answer = {"promote": promote, "reasons": reasons, "against": against}
        with self._calls(f"tag version {version}"):
            self._client.set_model_version_tag(self.name, version, "lidloop.gate", json.dumps(answer))

    def download(self, version: str, out: Path) -> Bundle:
        """Copy the bundle of a version (a number, or ``champion``) to ``out`` and verify it.

        Raises:
            OccupiedError: where ``out`` is a file or a folder that is not empty.
            RegistryError: where there is no such version, or its bundle cannot be read.
            ModelError: where the bundle is not, byte for byte, what was registered.
        """
        entry = self.get(version)
        with folder_atomic(out) as folder, self._calls(f"download version {entry.version}"):
            local = self.place.bundle_of(entry.mlflow_run, ARTIFACT)
            if local is not None and local.is_dir():
                shutil.copytree(local, folder, dirs_exist_ok=True)
            else:
                with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
                    got = self._client.download_artifacts(entry.mlflow_run, ARTIFACT, temporary)
                    shutil.copytree(got, folder, dirs_exist_ok=True)
            bundle = Bundle.open(folder, name=f"version {entry.version} in {self.place.shown}")
            if bundle.digest != entry.bundle:
                raise ModelError(f"the bundle of version {entry.version} is not the one that was registered")
        return Bundle(out, bundle.info)

    def read(self, entry: ModelVersion, names: Collection[str], *, limit: int = 1 << 24) -> dict[str, bytes]:
        """Small files of a version's bundle, each held to the digest that was registered.

        Args:
            entry: the version.
            names: of the files; one that the bundle does not have is left out.
            limit: most bytes of a file.

        Raises:
            RegistryError: where they cannot be read.
            ModelError: where a file is not, byte for byte, what was registered, or is too large.
        """
        with tempfile.TemporaryDirectory() as folder, self._calls(f"read version {entry.version}"):
            manifest = self._artifact(entry, MANIFEST, Path(folder), limit)
            if hashlib.sha256(manifest).hexdigest() != entry.bundle:
                raise ModelError(f"the bundle of version {entry.version} is not the one that was registered")
            listed = json.loads(manifest)["files"]
            content = {
                name: self._artifact(entry, name, Path(folder), limit) for name in names if name in listed
            }
        for name, data in content.items():
            if hashlib.sha256(data).hexdigest() != listed[name]["sha256"]:
                raise ModelError(f"{name} of version {entry.version} is not the file that was registered")
        return content

    def _artifact(self, entry: ModelVersion, name: str, folder: Path, limit: int) -> bytes:
        local = self.place.bundle_of(entry.mlflow_run, ARTIFACT)
        if local is not None and local.is_dir():
            path = local / name
        else:
            path = Path(self._client.download_artifacts(entry.mlflow_run, f"{ARTIFACT}/{name}", str(folder)))
        with path.open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise ModelError(f"{name} of version {entry.version} has more than {limit} bytes")
        return data

    def _add(self, bundle: Bundle, run: str, iteration: int, parent: str | None) -> None:
        """Put the bundle into an MLflow run, new or left by a killed attempt, and make it a version."""
        client = self._client
        experiment = self._experiment()
        key = hashlib.sha256(f"{run}\n{iteration}".encode()).hexdigest()
        gold = bundle.gold
        tags = {
            "lidloop.run": run,
            "lidloop.iteration": str(iteration),
            "lidloop.parent": parent or "",
            "lidloop.dataset": bundle.info["dataset"],
            "lidloop.label_version": str(bundle.info["label_version"]),
            "lidloop.labels": json.dumps(bundle.info["labels"]),
            "lidloop.gold": json.dumps(gold),
            "lidloop.gold_digest": str(bundle.read("evaluation.json").get("gold_digest", "")),
            "lidloop.created": bundle.info["created"],
            "lidloop.model": bundle.model_digest,
            "lidloop.bundle": bundle.digest,
        }
        attempts = client.search_runs([experiment], filter_string=f"tags.`lidloop.key` = '{key}'")
        if attempts:
            mlflow_run = attempts[0]
        else:
            mlflow_run = client.create_run(
                experiment, tags={"lidloop.key": key}, run_name=f"{run}-{iteration}"
            )
        identity = mlflow_run.info.run_id
        for name, value in tags.items():
            client.set_tag(identity, name, value)
        for yardstick in ("gold", "paper"):
            overall = bundle.read("evaluation.json").get(yardstick, {}).get("overall", {})
            for name, value in overall.items():
                if isinstance(value, int | float):
                    client.log_metric(identity, f"{yardstick}.{name}", float(value), step=iteration)
        client.log_artifacts(identity, str(bundle.root), ARTIFACT)
        client.set_terminated(identity)
        self._create_model()
        client.create_model_version(
            self.name,
            source=f"{mlflow_run.info.artifact_uri}/{ARTIFACT}",
            run_id=identity,
            tags=tags,
            description=f"run {run}, iteration {iteration}",
        )

    def _settle(self, run: str, iteration: int) -> ModelVersion:
        """Delete all versions of (run, iteration) but the first; only a race on a server leaves several."""
        mine = [v for v in self.versions() if (v.run, v.iteration) == (run, iteration)]
        for extra in mine[1:]:
            if not extra.champion:
                self._client.delete_model_version(self.name, extra.version)
        return mine[0]

    def _set_champion(self, action: str, version: str, reason: str) -> None:
        # The alias goes first: killed before the tag, the next change finds the alias ahead of the history
        # and follows it. The other way round, the history would tell of a change that never was.
        past = self.history()
        change = ChampionChange(
            action, version, self._champion_number(), reason, datetime.now(UTC).isoformat(timespec="seconds")
        )
        self._client.set_registered_model_alias(self.name, CHAMPION, version)
        key = f"{_EVENT}{len(past) + 1:06d}.{uuid.uuid4().hex[:8]}"
        self._client.set_registered_model_tag(self.name, key, json.dumps(asdict(change)))

    def _champion_number(self) -> str | None:
        """Number of the champion; None without one, or without the registered model itself."""
        from mlflow.exceptions import MlflowException

        try:
            aliases = self._client.get_registered_model(self.name).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        number = aliases.get(CHAMPION)
        return None if number is None else str(number)

    def _create_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _experiment(self) -> str:
        """Id of the experiment that holds the runs.

        MLflow writes the artifacts' absolute place into an experiment for good. A local registry that was
        moved gets a new one, so that nothing is written to the old place.
        """
        from mlflow.exceptions import MlflowException

        client, location = self._client, self.place.artifacts
        names = [self.name]
        if location is not None:
            names.append(f"{self.name}-{hashlib.sha256(location.encode()).hexdigest()[:8]}")
        for name in names:
            found = client.get_experiment_by_name(name)
            if found is None:
                try:
                    return str(client.create_experiment(name, artifact_location=location))
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                    found = client.get_experiment_by_name(name)
            if location is None or found.artifact_location == location:
                return str(found.experiment_id)
        raise RegistryError(f"{self.place.shown}: the experiment {names[-1]} keeps its files elsewhere")

    @cached_property
    def _client(self) -> Any:
        return backend.connect(self.place)

    @contextmanager
    def _exclusive(self, doing: str) -> Iterator[None]:
        with backend.lock(self.place), self._calls(doing):
            yield

    @contextmanager
    def _calls(self, doing: str) -> Iterator[None]:
        with backend.quiet(), backend.translated(self.place, doing):
            yield
