"""The serving pod as rendered by the chart, executed as local processes with a real S3 server."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import httpx
import pytest

from lidloop.demo import demo_weights
from lidloop.models.bundle import Bundle
from lidloop.models.bundle_store import push_bundle
from lidloop.storage import open_store
from lidloop.synthetic import draw_face
from lidloop.web.api_keys import add_key
from tests.manifests.process import Pod
from tests.manifests.render import one, template
from tests.servers.processes import free_port
from tests.servers.rclone import Rclone
from tests.servers.rgw import Rgw


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, seal_model: Callable[[Path], Bundle]) -> Bundle:
    """A bundle of the committed demo weights."""
    pytest.importorskip("ultralytics")
    from lidloop.training.export import export_onnx

    folder = tmp_path_factory.mktemp("demo") / "model"
    folder.mkdir()
    shutil.copyfile(demo_weights(), folder / "weights.pt")
    export_onnx(folder, imgsz=128)
    return seal_model(folder)


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """An API key, and the file that holds its hash."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    return add_key(path, "ward 3"), path.read_text()


@pytest.fixture(scope="module")
def pod(
    tmp_path_factory: pytest.TempPathFactory,
    object_store: Rgw | Rclone,
    store_keys: dict[str, str],
    key_file: tuple[str, str],
    bundle: Bundle,
) -> Pod:
    """The pod, with a bundle in the object store."""
    uri = "s3://models/lidloop/7"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**store_keys, "AWS_ENDPOINT_URL": object_store.endpoint}.items():
            patch.setenv(name, value)
        push_bundle(bundle, open_store(uri))
    changes = {"serving": {"model": {"uri": uri}}, "objectStore": {"endpoint": object_store.endpoint}}
    objects = template("kserve-less", changes)
    spec = one(objects, "Deployment", "lidloop-serving")["spec"]["template"]["spec"]
    secrets = {"lidloop-s3": store_keys, "lidloop-keys": {"keys": key_file[1]}}
    moved = {"0.0.0.0": "127.0.0.1", "8080": str(free_port()), "9109": str(free_port())}
    return Pod(spec, secrets, tmp_path_factory.mktemp("serving"), moved)


@pytest.fixture(scope="module")
def fetched(pod: Pod) -> Path:
    """The bundle's folder that the init container writes."""
    [fetch] = pod.spec["initContainers"]
    done = pod.run(fetch)
    assert done.returncode == 0, done.stderr
    return pod.folder / "model" / "models"


@pytest.fixture(scope="module")
def url(pod: Pod, fetched: Path) -> Iterator[str]:
    """URL of the server."""
    with pod.serving(pod.spec["containers"][0], int(pod.moved["8080"])) as address:
        yield address


def test_init_container_downloads_the_whole_bundle(fetched: Path, bundle: Bundle) -> None:
    assert Bundle.open(fetched).digest == bundle.digest


def test_screening_needs_the_api_key(url: str, key_file: tuple[str, str]) -> None:
    face = draw_face(seed=3, size=(320, 280), canthal_px=110.0)
    photo = cv2.imencode(".jpg", face.image[..., ::-1])[1].tobytes()
    headers = {"Content-Type": "image/jpeg"}
    path = url + "/v1/screen"
    assert httpx.post(path, content=photo, headers=headers, timeout=60).status_code == 401
    headers["Authorization"] = f"Bearer {key_file[0]}"
    answer = httpx.post(path, content=photo, headers=headers, timeout=60)
    assert answer.status_code == 200
    assert len(answer.json()["faces"]) == 1
    assert answer.json()["model"]["version"] == "7"


def test_probes_and_metrics_need_no_key(url: str, pod: Pod) -> None:
    [server] = pod.spec["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert httpx.get(url + server[probe]["httpGet"]["path"]).status_code == 200
    assert httpx.get(url + "/metrics").status_code == 404
    metrics = httpx.get(f"http://127.0.0.1:{pod.moved['9109']}/metrics").text
    assert "lidloop_serving_model_info{" in metrics
    assert 'version="7"' in metrics


def test_temporary_files_fit_into_the_volume(url: str, pod: Pod) -> None:
    """/tmp, which is also HOME, is the only writable folder."""
    [tmp] = [v for v in pod.spec["volumes"] if v["name"] == "tmp"]
    assert tmp["emptyDir"]["sizeLimit"] == "64Mi"
    written = sum(p.stat().st_size for p in (pod.folder / "tmp").rglob("*") if p.is_file())
    assert written < 8 << 20


def test_wrong_object_store_keys_fail_without_being_logged(pod: Pod, tmp_path: Path) -> None:
    wrong = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": hashlib.sha256(b"x").hexdigest()}
    other = Pod(pod.spec, {**pod.secrets, "lidloop-s3": wrong}, tmp_path, pod.moved)
    done = other.run(pod.spec["initContainers"][0])
    assert done.returncode == 1
    assert "error:" in done.stderr
    assert wrong["AWS_SECRET_ACCESS_KEY"] not in done.stdout + done.stderr
    assert not (tmp_path / "model" / "models").exists()
