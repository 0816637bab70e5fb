"""Write the dashboards into the chart: ``python -m charts.dashboards``."""

from __future__ import annotations

from charts.dashboards.write import FOLDER, dashboards
from lidloop.files import write_atomic

for name, text in dashboards().items():
    write_atomic(FOLDER / f"{name}.json", text)
