"""Loading, verification and exchange of the served model.

Only sealed bundles and the starter are served, and only their ONNX file is opened: no pickle, ever.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lidloop import __version__
from lidloop.detection.detector import Detector, load_detector
from lidloop.errors import LidloopError, ModelError
from lidloop.eyes.network import warm_up
from lidloop.files import sha256
from lidloop.models.bundle import MANIFEST, Bundle
from lidloop.screening.screen import ModelInfo, screen
from lidloop.starter.choose import DEFAULT_REGISTRY, STARTER, is_default, model_digest, verified_model
from serving.settings import MOUNTED, Settings

if TYPE_CHECKING:
    from lidloop.registry.registry import Registry

log: Final = logging.getLogger("lidloop.serving")

CHAMPION: Final = "champion"


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A loaded model.

    Attributes:
        detector: ready to use. info: what answers say of it.
        reference: its ``reference_profile.json``.
        identity: changes when ``Settings.model`` resolves to another model.
    """

    detector: Detector
    info: ModelInfo
    reference: Mapping[str, Any]
    identity: str


def load(settings: Settings) -> Served:
    """Find, verify and load the model of the settings, and run it once to warm it up.

    Raises:
        LidloopError: for a model that is missing or not, byte for byte, what was sealed or registered, or a
            registry that is out of reach.
    """
    name = resolve(settings)
    if name == STARTER:
        return _load_starter(settings)
    if _is_folder(name):
        path = Path(name)
        return _load_bundle(path, settings, settings.model_version or None, _folder_identity(path))
    registry = _registry(settings)
    version = registry.get(name).version
    with tempfile.TemporaryDirectory() as temporary:
        bundle = registry.download(version, Path(temporary) / "bundle")
        return _load_bundle(bundle.root, settings, version, version)


def resolve(settings: Settings) -> str:
    """Resolve ``Settings.model`` to the path of a folder, ``champion``, ``starter`` or a version's number.

    A folder that KServe mounts without a model in it is a failed download: it never means the starter.
    """
    if settings.model:
        return settings.model
    if (MOUNTED / MANIFEST).exists():
        return str(MOUNTED)
    return STARTER if not MOUNTED.exists() and is_default(settings.model, settings.registry) else CHAMPION


def identity(settings: Settings) -> str:
    """Return ``Served.identity`` of the model that would be loaded now, without loading it.

    Raises:
        LidloopError: if there is none.
    """
    name = resolve(settings)
    if name == STARTER:
        return model_digest()
    if _is_folder(name):
        return _folder_identity(Path(name))
    return _registry(settings).get(name).version


def _registry(settings: Settings) -> Registry:
    from lidloop.registry.registry import Registry

    return Registry(settings.registry or DEFAULT_REGISTRY, create=False)


def _is_folder(name: str) -> bool:
    path = Path(name)
    return path.exists() or len(path.parts) > 1


def _folder_identity(path: Path) -> str:
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise ModelError(f"{path} is not a bundle: it has no {MANIFEST}; only sealed models are served")
    return sha256(manifest)


def _load_bundle(path: Path, settings: Settings, version: str | None, identity: str) -> Served:
    bundle = Bundle.open(path)
    name = settings.model_name or bundle.info["name"]
    return _ready(path, settings, name, version, bundle.read("reference_profile.json"), identity)


def _load_starter(settings: Settings) -> Served:
    name, version = settings.model_name or STARTER, settings.model_version or __version__
    # Without a reference profile no drift is computed: photographs are not compared with drawn faces.
    return _ready(verified_model(), settings, name, version, {"features": {}}, model_digest())


def _ready(
    path: Path,
    settings: Settings,
    name: str,
    version: str | None,
    reference: Mapping[str, Any],
    identity: str,
) -> Served:
    detector = load_detector(
        path,
        backend=settings.backend,  # type: ignore[arg-type]
        threads=settings.threads,
        device=settings.device,
    )
    info = ModelInfo(name, version, detector.iteration, detector.digest)
    side = detector.imgsz
    grey = np.full((side * 3 // 4, side, 3), 128, dtype=np.uint8)
    screen(grey, detector, info)
    warm_up()  # the eye network; a grey picture has no face
    return Served(detector, info, reference, identity)


class Model:
    """Holder of the current model; may be read from any thread.

    A request takes ``current`` once and keeps to it, so that an exchange never mixes two models in an answer.

    Args:
        settings: which model. served: the model where it is loaded already.
        on_change: called with every model that begins to answer.
    """

    def __init__(
        self, settings: Settings, served: Served | None = None, *, on_change: Callable[[Served], None]
    ) -> None:
        self._settings = settings
        self._current: Served | None = None
        self._on_change = on_change
        self._lock = threading.Lock()
        self.stopping = False
        if served is not None:
            self._set(served)

    @property
    def current(self) -> Served | None:
        """The loaded model; None before the first."""
        return self._current

    @property
    def ready(self) -> bool:
        """True if a model is loaded and warmed up, and the server is not stopping."""
        return self._current is not None and not self.stopping

    def load(self) -> Served:
        """Load the model if none is loaded.

        Raises:
            LidloopError: see ``load``.
        """
        with self._lock:
            if self._current is None:
                self._set(load(self._settings))
            assert self._current is not None
            return self._current

    def _set(self, served: Served) -> None:
        self._on_change(served)  # first: it may raise, and then the old model stays
        self._current = served

    def refresh(self) -> bool:
        """Exchange the model if its name now means another one; return True if it was exchanged.

        A failure is logged, and the old model goes on answering.
        """
        with self._lock:
            try:
                if self._current is not None and identity(self._settings) == self._current.identity:
                    return False
                new = load(self._settings)
                self._set(new)
            except LidloopError as error:
                log.error("the model stays as it is: %s", error)
                return False
            except Exception:
                # No error of a new model may end the watch for the next one.
                log.exception("the model stays as it is")
                return False
        log.info(
            "now serving %s version %s, iteration %d", new.info.name, new.info.version, new.info.iteration
        )
        return True
