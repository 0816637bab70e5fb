"""A real Prometheus over recorded data, and the queries that Grafana would send.

It needs Debian's ``prometheus`` and ``promtool``. Nothing listens but on this machine, and what is started
ends with the ``with`` block.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

RULES: Final = Path(__file__).parents[2] / "charts" / "lidloop" / "files" / "rules"
SCRAPE: Final = 60
"""Seconds between scrapes, as in the settings of Grafana's data source."""
_NAME: Final = re.compile(r"[a-z_]+:[a-z0-9_]+:[a-z0-9_]+")
"""Name of a recorded series: level:metric:operations."""


def missing() -> str | None:
    """Reason why Prometheus cannot run here; None if it can."""
    absent = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
    return f"{' and '.join(absent)}: not installed" if absent else None


@dataclass(frozen=True)
class Server:
    """A Prometheus at ``url``, with functions to query it."""

    url: str
    client: httpx.Client

    def at(self, expr: str, when: float) -> list[dict[str, Any]]:
        """An instant query: series with ``metric`` and ``value``.

        Raises:
            ValueError: with what Prometheus has against the query.
        """
        return self._result("query", {"query": expr, "time": when})

    def over(self, expr: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """A range query: series with ``metric`` and ``values``.

        Raises:
            ValueError: as ``at``.
        """
        return self._result("query_range", {"query": expr, "start": start, "end": end, "step": step})

    def values(self, label: str, metric: str, start: float, end: float) -> list[str]:
        """Values of a label of a metric's series."""
        parameters = {"match[]": metric, "start": start, "end": end}
        found: list[str] = self._get(f"label/{label}/values", parameters)
        return found

    def _result(self, what: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get(what, parameters)["result"]
        return found

    def _get(self, what: str, parameters: Mapping[str, Any]) -> Any:
        answer = self.client.get(f"{self.url}/api/v1/{what}", params=dict(parameters)).json()
        if answer["status"] != "success":
            raise ValueError(f"{parameters}: {answer['error']}")
        return answer["data"]


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run Prometheus over the blocks in ``folder``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = folder / "prometheus.yml"
    config.write_text("{}\n")
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}"]
    # Stored series lack the mark that a scrape sets where one ends: what is a minute old is over.
    command += [
        f"--web.listen-address={address}",
        "--log.level=error",
        f"--query.lookback-delta={SCRAPE - 1}s",
    ]
    with subprocess.Popen(command) as process, httpx.Client(timeout=60) as client:
        try:
            _wait(client, f"http://{address}/-/ready", process)
            yield Server(f"http://{address}", client)
        finally:
            process.terminate()


def _wait(client: httpx.Client, url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"prometheus has ended with status {process.returncode}")
        try:
            if client.get(url).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError("prometheus is not ready after 30 seconds")


def store(folder: Path, text: str, *, start: int, end: int) -> None:
    """Write blocks of samples in the OpenMetrics format, and of the series of the recording rules.

    Args:
        start, end: Unix times between which rules are evaluated, every minute.
    """
    samples = folder / "samples.om"
    samples.write_text(text)
    _promtool("create-blocks-from", "openmetrics", "--quiet", samples, folder)
    samples.unlink()
    for level in levels(yaml.safe_load((RULES / "recording.yaml").read_text())):
        rules = folder / "rules.yml"
        rules.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": level}]}))
        with running(folder) as server:
            since = ["--start", str(start), "--end", str(end), "--url", server.url]
            _promtool("create-blocks-from", "rules", *since, "--output-dir", folder, rules)
        rules.unlink()


def _promtool(*arguments: str | Path) -> None:
    made = subprocess.run(["promtool", "tsdb", *arguments], capture_output=True, text=True)
    if made.returncode:
        raise RuntimeError(f"promtool {' '.join(map(str, arguments))}: {made.stderr}")


def levels(rules: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    """Recording rules in the order of evaluation over the past: each after those that it reads."""
    waiting = [rule for group in rules["groups"] for rule in group["rules"]]
    found: list[list[dict[str, Any]]] = []
    while waiting:
        open_ = {rule["record"] for rule in waiting}
        ready = [rule for rule in waiting if not open_ & set(_NAME.findall(rule["expr"]))]
        if not ready:
            raise ValueError(f"these read each other: {sorted(open_)}")
        found.append(ready)
        waiting = [rule for rule in waiting if rule not in ready]
    return found


def filled_in(expr: str, variables: Mapping[str, str], *, seconds: float, step: float) -> str:
    """A panel's query with Grafana's variables replaced.

    Args:
        variables: of the dashboard, by name.
        seconds: length of the range. step: between points.
    """
    rate = max(step + SCRAPE, 4 * SCRAPE)  # Grafana's definition
    own = {"__rate_interval": f"{rate:.0f}s", "__interval": f"{step:.0f}s", "__range": f"{seconds:.0f}s"}
    for name, value in sorted({**variables, **own}.items(), key=lambda item: -len(item[0])):
        expr = expr.replace(f"${{{name}}}", value).replace(f"${name}", value)
    return expr


def legend(template: str, metric: Mapping[str, str]) -> str:
    """Legend of a series as Grafana shows it."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: metric.get(found[1], ""), template)


def answers(
    server: Server, panel: Mapping[str, Any], variables: Mapping[str, str], *, end: float, seconds: float
) -> list[list[dict[str, Any]]]:
    """Answers of Prometheus to each query of a panel, over the ``seconds`` before ``end``."""
    return [_answer(server, target, variables, end, seconds) for target in panel["targets"]]


def _answer(
    server: Server, target: Mapping[str, Any], variables: Mapping[str, str], end: float, seconds: float
) -> list[dict[str, Any]]:
    step = max(15.0, 15.0 * (seconds // (15 * 400)))
    expr = filled_in(target["expr"], variables, seconds=seconds, step=step)
    if target.get("instant"):
        return server.at(expr, end)
    return server.over(expr, end - seconds, end, step)


def choice(server: Server, board: Mapping[str, Any], *, end: float, seconds: float) -> dict[str, str]:
    """Values of the dashboard's variables when Grafana opens it.

    Raises:
        ValueError: where a variable has nothing to choose from.
    """
    chosen: dict[str, str] = {}
    for variable in board["templating"]["list"]:
        if variable["type"] == "constant":
            chosen[variable["name"]] = variable["query"]
        elif variable["type"] == "query":
            found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            values = server.values(found[2], found[1], end - seconds, end) if found else []
            if not values:
                raise ValueError(
                    f"{variable['name']} has nothing to choose from: {variable['query']['query']}"
                )
            chosen[variable["name"]] = variable["allValue"] if variable["includeAll"] else values[0]
    return chosen
