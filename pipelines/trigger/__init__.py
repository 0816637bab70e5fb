"""``lidloop trigger``: an HTTP service that starts runs for programs and for Alertmanager."""
