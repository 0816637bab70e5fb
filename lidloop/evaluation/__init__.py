"""Evaluation of a model: metrics on gold and paper labels, and the promotion gate."""
