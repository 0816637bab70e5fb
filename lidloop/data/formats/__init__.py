"""One reader or writer per annotation format; faces are in pixels of the upright picture."""
