"""Whether faces and labels still are what they were: profiles, distances between distributions, and guards.

``features`` says what is watched of a face, ``profile`` describes a reference, ``statistics`` compares two
samples, ``compare`` two sets of faces, ``agreement`` two opinions about the same faces, ``guards`` knows how
self-labelling goes wrong, and ``watch`` puts all of it into one file of a model's bundle.
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
