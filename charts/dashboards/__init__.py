"""The Grafana dashboards as code: ``labels``, ``models`` and ``serving``, built from ``panels``.

``python -m charts.dashboards``, which ``make docs`` runs, writes them into the chart.
``benchmarks.dashboards`` draws previews of them.
"""
