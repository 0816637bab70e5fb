"""Formats of annotation tools: writing the faces of a manifest, reading what comes back.

Each module has ``write(manifest, folder)`` and ``read(path, manifest)``, which returns faces by picture id.
"""
