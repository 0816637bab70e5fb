"""Review of labels by people: the order in which to look, decisions, and their way into a label version."""
