"""Previews of the Grafana dashboards: artificial series, a Prometheus that has them, and the drawing."""
