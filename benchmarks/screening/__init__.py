"""Operating point of the screening flag on photographs and drawn faces."""
