"""Runner of the pipeline on one machine."""
