"""Alertmanager's webhook, version 4: a message becomes alerts, or is refused.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lidloop.web.problems import Problem

VERSION: Final = "4"
_SHOWN: Final = 200  # characters of a text that are kept


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of a message.

    Attributes:
        fingerprint: of its labels, as Alertmanager computes it.
        name: label ``alertname``.
        firing: whether it fires; else it is resolved.
        labels: all of them.
        starts_at: since when, as Alertmanager writes it.
        group: key of the group that it was sent in.
    """

    fingerprint: str
    name: str
    firing: bool
    labels: Mapping[str, str]
    starts_at: str
    group: str


def read_alerts(message: Any) -> list[Alert]:
    """The alerts of a message.

    Raises:
        Problem: 422 where it is not one of this webhook.
    """
    if not isinstance(message, dict):
        raise _not_one("the message is not an object")
    if message.get("version") != VERSION:
        raise _not_one(f"version is not {VERSION!r}")
    alerts = message.get("alerts")
    if not isinstance(alerts, list):
        raise _not_one("alerts is not a list")
    group = message.get("groupKey", "")
    if not isinstance(group, str):
        raise _not_one("groupKey is not a text")
    return [_alert(entry, f"alerts[{index}]", group) for index, entry in enumerate(alerts)]


def _alert(entry: Any, place: str, group: str) -> Alert:
    if not isinstance(entry, dict):
        raise _not_one(f"{place} is not an object")
    labels = entry.get("labels")
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise _not_one(f"{place}.labels is not an object of texts")
    status = entry.get("status")
    if status not in ("firing", "resolved"):
        raise _not_one(f"{place}.status is neither firing nor resolved")
    fingerprint, starts_at = entry.get("fingerprint", ""), entry.get("startsAt", "")
    if not isinstance(fingerprint, str) or not isinstance(starts_at, str):
        raise _not_one(f"{place}.fingerprint or {place}.startsAt is not a text")
    return Alert(
        fingerprint=(fingerprint or _fingerprint(labels))[:64],
        name=labels.get("alertname", "")[:_SHOWN],
        firing=status == "firing",
        labels=labels,
        starts_at=starts_at[:64],
        group=group[:_SHOWN],
    )


def _fingerprint(labels: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]


def _not_one(what: str) -> Problem:
    return Problem("alerts", f"{what}; it should be a message of Alertmanager's webhook, version {VERSION}")
