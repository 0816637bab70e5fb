"""lidloop grows facial-landmark labels by itself and measures eyelids with the models it trains."""

import os

__version__ = "0.2.0"

# From 1.29 on, ONNX Runtime reports names and hashes of models to its makers, and keeps an id on the disk.
# It reads this when it is imported, which nothing here does before this line.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
