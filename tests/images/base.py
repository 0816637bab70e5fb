"""The base image: Debian with Python, made here from its packages, slim as a public Python image is."""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path
from typing import Final

from tests.images.podman import Podman

BASE: Final = "LIDLOOP_IMAGE_BASE"
"""Names another base: an image that can be pulled, or the tar file of a root file system."""
_SUITE: Final = "bookworm"
_LEFT_OUT: Final = ("doc", "info", "locale", "man")


def provide(podman: Podman) -> str:
    """Name of a base image for ``BASE`` of the Dockerfiles."""
    given = os.environ.get(BASE, "")
    if given and not given.endswith(".tar"):
        return given
    tag = f"localhost/python:{_SUITE}"
    podman("import", given or debian(podman.folder / "base.tar"), tag, timeout=300)
    return tag


def debian(tar: Path) -> Path:
    """Write a root file system of Debian with Python, and with the certificate authorities trusted here."""
    authorities = ssl.get_default_verify_paths().cafile
    subprocess.run(
        [
            "nice", "-n", "10", "mmdebstrap", "--quiet", "--variant=minbase",
            "--include=python3,python3-venv,ca-certificates",
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT),
            f"--customize-hook=upload {authorities} /etc/ssl/certs/ca-certificates.crt",
            _SUITE, tar,
        ],
        check=True, capture_output=True, timeout=900,
    )  # fmt: skip
    return tar
