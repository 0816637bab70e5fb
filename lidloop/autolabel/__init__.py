"""Auto-labelling: predictions, candidates, priority NMS, the next label version, early stopping."""
