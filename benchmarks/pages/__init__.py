"""Generators of the documents under docs/."""
