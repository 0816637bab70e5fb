"""The Grafana dashboards as code: labels, models and serving, one screen each.

``python -m charts.dashboards`` writes them into the chart, and ``make docs`` does. ``labels``, ``models`` and
``serving`` hold what is on each, ``house`` what all share. ``series`` makes recorded data, ``prometheus``
asks a real Prometheus about it, and ``pictures`` draws what it answers.
"""
