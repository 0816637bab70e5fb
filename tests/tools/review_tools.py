"""Label Studio, labelme and datumaro for tests of ``lidloop review``, each in an environment of its own.

``python tests/tools/review_tools.py UV`` makes the environments in ``.tools`` where they are not there yet:
the requirements of these programs and of lidloop exclude each other.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / ".tools"
LABEL_STUDIO: Final = FOLDER / "label-studio"
READERS: Final = FOLDER / "annotation-readers"
REQUIREMENTS: Final = {
    LABEL_STUDIO: ("label-studio==1.23.0",),
    READERS: ("labelme==6.3.1", "datumaro==1.13.0"),
}
MISSING: Final = "it is installed by: make review-tools"


def main() -> None:
    """Make the environments that are missing, each whole or not at all."""
    uv = sys.argv[1]
    for place, requirements in REQUIREMENTS.items():
        python = place / "bin" / "python"
        if python.exists():
            continue
        try:
            subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, place], check=True)
            subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *requirements], check=True)
        except subprocess.CalledProcessError:
            shutil.rmtree(place, ignore_errors=True)
            raise SystemExit(f"{', '.join(requirements)} cannot be installed") from None


if __name__ == "__main__":
    main()
