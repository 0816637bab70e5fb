"""Side-by-side measurements, one file per question; every ratio comes from one run on one machine."""
