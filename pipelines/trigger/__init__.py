"""Runs that are started over HTTP, by people's programs or by Alertmanager; ``lidloop trigger``."""
