"""Drift of faces and labels: profiles, distances between distributions, and guards.

``features`` computes numbers per face, ``profile`` describes a reference by them, ``statistics`` compares two
samples and ``compare`` two sets of faces, ``agreement`` compares labels with predictions of the same faces,
``guards`` checks for the known failures of self-labelling, and ``watch`` writes all of it to one file.
"""

from lidloop.drift.features import CONFIDENCE, DEFINITIONS, PER_IMAGE, features
from lidloop.drift.profile import (
    FORMAT,
    bins,
    decile_edges,
    histogram,
    live_reference,
    reference_profile,
)
from lidloop.drift.shape import Shape
from lidloop.drift.statistics import PSI_EPSILON, js_distance, ks_distance_of_counts, psi, psi_limit

__all__ = [
    "CONFIDENCE",
    "DEFINITIONS",
    "FORMAT",
    "PER_IMAGE",
    "PSI_EPSILON",
    "Shape",
    "bins",
    "decile_edges",
    "features",
    "histogram",
    "js_distance",
    "ks_distance_of_counts",
    "live_reference",
    "psi",
    "psi_limit",
    "reference_profile",
]
