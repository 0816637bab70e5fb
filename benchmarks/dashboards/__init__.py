"""Series for previewing the Grafana dashboards, and the pictures drawn from them."""
