"""Lid margins and iris of the eyes of a face, from landmarks and from pixels."""
