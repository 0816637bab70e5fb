"""The container image in which steps run on a cluster; a local run ignores it."""

from lidloop import __version__

IMAGE = f"lidloop/steps:{__version__}"
