"""Detection power of the drift measures: shifts, windows, false alarms."""
