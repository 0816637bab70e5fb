"""Error of the eyelid measurements against drawn and real faces."""
