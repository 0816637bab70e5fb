"""A second look at the eyes of a face: lid margins and iris, from landmarks and from pixels."""
