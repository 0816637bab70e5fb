"""Order of the review queue, measured on labels with known errors: ``python -m benchmarks.review``."""
