"""Alertmanager's webhook, version 4: read a message.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lidloop.web.problems import Problem
from lidloop.web.wire import WireError, read
from pipelines.trigger.wire import Message, MessageAlert

_SHOWN: Final = 200  # characters of a string that are kept
_ID: Final = 64  # the same of identifiers and times


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of a message.

    Attributes:
        fingerprint: hash of its labels, as Alertmanager computes it.
        name: label ``alertname``.
        firing: True if it fires, False if it is resolved.
        labels: all labels.
        starts_at: start time as Alertmanager writes it.
        group: key of the group that it was sent in.
    """

    fingerprint: str
    name: str
    firing: bool
    labels: Mapping[str, str]
    starts_at: str
    group: str


def read_alerts(message: Any) -> list[Alert]:
    """Return the alerts of a message.

    Args:
        message: parsed JSON.

    Raises:
        Problem: ``alerts`` for anything else than a message of this webhook.
    """
    try:
        parsed = read(Message, message)
    except WireError as error:
        raise Problem("alerts", f"not a message of Alertmanager's webhook, version 4: {error}") from None
    return [_alert(alert, parsed.groupKey) for alert in parsed.alerts]


def _alert(alert: MessageAlert, group: str) -> Alert:
    return Alert(
        fingerprint=(alert.fingerprint or _fingerprint(alert.labels))[:_ID],
        name=alert.labels.get("alertname", "")[:_SHOWN],
        firing=alert.status == "firing",
        labels=alert.labels,
        starts_at=alert.startsAt[:_ID],
        group=group[:_SHOWN],
    )


def _fingerprint(labels: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]
