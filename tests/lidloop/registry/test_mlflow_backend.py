"""Addresses of registries: folders with any name, and URIs that cannot be right."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from lidloop.errors import LidloopError, ModelError, RegistryError
from lidloop.models.bundle import Bundle
from lidloop.registry.mlflow_backend import locate
from lidloop.registry.registry import Registry

pytest.importorskip("mlflow")

UNUSUAL = ["a?b", "a%20b", "a%41b", "100%25?", "a#b", "it's", "[v1]", "a&b=c", "患者", "a\nb", "-x", ";:@+"]


@pytest.mark.parametrize("name", UNUSUAL)
def test_a_folder_of_any_name_is_the_registry(
    tmp_path: Path, migrated: Path, make_bundle: Callable[..., Bundle], name: str
) -> None:
    """Written, read again, and its artifacts found by MLflow itself; no second folder appears."""
    place = tmp_path / "places" / name / "registry"
    place.mkdir(parents=True)
    shutil.copyfile(migrated, place / "mlflow.db")
    version = Registry(place).register(make_bundle(iteration=0), run="r", iteration=0)
    again = Registry(place, create=False)
    assert again.get("1").run == "r"
    again.download("1", tmp_path / "copy")
    (tmp_path / "by-mlflow").mkdir()
    got = again._client.download_artifacts(version.mlflow_run, "bundle", str(tmp_path / "by-mlflow"))
    assert Bundle.open(Path(got)).digest == version.bundle
    assert [p.name for p in (tmp_path / "places").iterdir()] == [name]


def test_home_and_escapes_in_addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for where in (
        "~/models",
        tmp_path / "models",
        f"file:{tmp_path}/models",
        f"file://localhost{tmp_path}/models",
    ):
        assert locate(where).database == tmp_path / "models" / "mlflow.db"
    assert locate("sqlite:///~/m.db").database == tmp_path / "m.db"
    assert locate(f"sqlite:///{tmp_path}/a%20b.db?timeout=3").database == tmp_path / "a b.db"
    assert locate(f"file://{tmp_path}/a%20b%3F").database == tmp_path / "a b?" / "mlflow.db"


@pytest.mark.parametrize(
    "where",
    [
        "localhost:5000",
        "127.0.0.1:5000",
        "mlflow.example.org:5000",
        "[::1]:5000",
        "mlflow:5000/",
        "host:99999",
    ],
)
def test_host_and_port_are_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RegistryError, match="http://"):
        Registry(where)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("http://host:99999", "ort"),
        ("http://host:x", "ort"),
        ("http://[::1", "IPv6"),
        ("http://", "no host"),
        ("postgresql://u:secret@h:99999/db", "ort"),
        ("ftp://host/x", "folder, or a sqlite"),
        ("FTP:/x", "folder, or a sqlite"),
        ("sqlite://", "no file"),
        ("file://server/share", "server"),
    ],
)
def test_addresses_that_cannot_be_right(where: str, words: str) -> None:
    with pytest.raises(RegistryError, match=words) as caught:
        Registry(where)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("where", ["http://[::1]:1", "http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_a_server_that_does_not_answer(where: str) -> None:
    with pytest.raises(RegistryError, match="no registry answers"):
        Registry(where).versions()


def test_a_database_of_another_program_is_not_written_to(tmp_path: Path) -> None:
    file = tmp_path / "laboratory.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE patients (name TEXT)")
    connection.commit()
    connection.close()
    before = file.read_bytes()
    with pytest.raises(RegistryError, match="another program"):
        Registry(f"sqlite:///{file}").versions()
    assert file.read_bytes() == before
    file.write_text("not a database at all")
    with pytest.raises(RegistryError, match="damaged or something else"):
        Registry(f"sqlite:///{file}").versions()


def test_a_damaged_bundle_is_named_by_version_and_registry(
    tmp_path: Path, make_bundle: Callable[..., Bundle]
) -> None:
    registry = Registry(tmp_path / "registry")
    version = registry.register(make_bundle(iteration=0), run="r", iteration=0)
    stored = registry.place.bundle_of(version.mlflow_run, "bundle")
    assert stored is not None
    for damage in (
        lambda: (stored / "MODEL_CARD.md").write_text("changed"),
        lambda: (stored / "MODEL_CARD.md").unlink(),
        lambda: (stored / "bundle.json").write_text(json.dumps({"format": 7})),
        lambda: (stored / "bundle.json").write_text("{"),
        lambda: (stored / "bundle.json").unlink(),
        lambda: shutil.rmtree(stored),
    ):
        damage()
        with pytest.raises(LidloopError) as caught:
            registry.download("1", tmp_path / "out")
        assert "version 1" in str(caught.value)
        assert str(tmp_path / "registry") in str(caught.value)
        assert "/.out." not in str(caught.value)
        assert isinstance(caught.value, ModelError | RegistryError)
    assert not (tmp_path / "out").exists()
