"""One reader or writer per annotation format; each returns or takes faces in pixels of the upright picture."""
