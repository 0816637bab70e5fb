"""What the registry and the runs say about labels and models, for Prometheus: ``lidloop exporter``.

Nothing is pushed by steps that die; a reader looks at both every so often, and a scrape answers from memory.
"""
