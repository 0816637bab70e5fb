"""Cost of the pipeline steps by number of pictures."""
