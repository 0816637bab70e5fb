"""Prometheus exporter of labels and models, from the registry and the runs: ``lidloop exporter``.

Background threads read both sources periodically, and a scrape is answered from memory. Pipeline steps push
no metrics, as they end before a scrape.
"""
