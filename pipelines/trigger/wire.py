"""Wire types of the trigger service: runs, alerts, Alertmanager's message, and problem documents."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from lidloop.web.problems import PREFIX, ProblemDetails
from lidloop.web.wire import OpenWire, Schema, schemas
from pipelines.trigger.cooldown import Outcome as AlertOutcome
from pipelines.trigger.problems import PROBLEM_TYPES

Time = Annotated[str | None, WithJsonSchema({"type": ["string", "null"], "format": "date-time"})]
Optional = Annotated[str | None, WithJsonSchema({"type": ["string", "null"]})]
Status = Literal["firing", "resolved"]
Outcome = Annotated[AlertOutcome, WithJsonSchema({"enum": [outcome.value for outcome in AlertOutcome]})]

_PARAMETERS: Schema = {"type": "object", "description": "Given ones and the operator's defaults."}


class Run(OpenWire):
    """A run."""

    id: str
    state: Literal["starting", "running", "succeeded", "failed"]
    model: str
    reason: Literal["request", "alert"]
    started_by: Annotated[str, Field(description="Id of the key that asked or sent the alert, or local.")]
    created: Time
    ended: Time
    detail: Annotated[str, Field(description="Why it failed, or why it is not started yet.")]
    registered_as: Annotated[Optional, Field(description="Its name in the registry, once it is known.")]
    link: Annotated[Optional, Field(description="Its report here, or its page on the host.")]
    parameters: Annotated[dict[str, Any], WithJsonSchema(_PARAMETERS)]


class Runs(OpenWire):
    """A page of runs, the newest first."""

    runs: list[Run]
    next: Optional


class Alert(OpenWire):
    """An alert that was received, and its outcome."""

    received: Time
    name: str
    fingerprint: str
    status: Status
    starts_at: str
    group: str
    outcome: Outcome
    run: Optional


class Alerts(OpenWire):
    """A page of alerts, the newest first."""

    alerts: list[Alert]
    next: Optional


class AlertAnswer(OpenWire):
    """The outcome of one alert of a message."""

    fingerprint: str
    name: str
    outcome: Outcome
    run: Optional


class Heard(OpenWire):
    """The answer to a message of Alertmanager."""

    alerts: list[AlertAnswer]


class MessageAlert(OpenWire):
    """One alert of a message."""

    status: Status
    labels: dict[str, str]
    startsAt: str = Field(default_factory=str)
    fingerprint: str = Field(default_factory=str)


class Message(OpenWire):
    """A message of Alertmanager's webhook, version 4."""

    version: Literal["4"]
    groupKey: str = Field(default_factory=str)
    alerts: list[MessageAlert]


class Problem(ProblemDetails):
    """A problem document of this service."""

    model_config = ConfigDict(extra="ignore")

    type: Annotated[str, WithJsonSchema({"enum": [PREFIX + name for name in PROBLEM_TYPES]})]
    status: Annotated[int, WithJsonSchema({"type": "integer"})]
    instance: str


SCHEMAS: dict[str, Schema] = schemas([Run, Runs, Alert, Alerts, Heard, Message, Problem])
"""Schemas of the OpenAPI document by name, but for the parameters that a caller may give."""
