"""The screening endpoint. Nothing is served yet; the package is here so that the import rules hold for it."""
