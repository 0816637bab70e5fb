"""HTTP foundation shared by the serving endpoint, the trigger and the exporter."""
