"""The dashboards as JSON files of the chart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from charts.dashboards import labels, models, serving

FOLDER: Final = Path(__file__).parents[1] / "lidloop" / "files" / "dashboards"


def dashboards() -> dict[str, str]:
    """JSON text of each dashboard by name."""
    boards = {"labels": labels, "models": models, "serving": serving}
    return {name: _text(module.build()) for name, module in boards.items()}


def _text(board: dashboard.Dashboard) -> str:
    made: dict[str, Any] = json.loads(json.dumps(board.build(), cls=JSONEncoder))
    for k, panel in enumerate(made["panels"]):
        panel["id"] = k + 1  # stable, so that links to a panel stay valid
        if panel["type"] == "table":
            del panel["options"]["footer"]  # a default of version 11.6 that newer versions do not have
    for variable in made["templating"]["list"]:
        for key in ("auto", "auto_count", "auto_min"):  # the builder's defaults for interval variables
            variable.pop(key, None)
    return json.dumps(made, indent=1, sort_keys=True) + "\n"
