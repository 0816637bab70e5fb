"""Name of the container image of the steps on a cluster; a local run does not use it."""

from lidloop import __version__

IMAGE = f"lidloop/steps:{__version__}"
