"""Deploy, promote and roll back a model on an InferenceService, and wait until it is ready.

A change that does not become ready is undone. A change that another client makes meanwhile is never undone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from components.kserve.api import CREATOR, Changed, Cluster, Owned, Unavailable
from components.kserve.create import IMAGE, inference_service, serving_runtime
from components.kserve.readiness import Progress, of_canary, of_stable
from components.kserve.state import (
    KEPT,
    DeployError,
    Model,
    Object,
    State,
    canary_name,
    deployment_of,
    document,
    is_cluster_local,
    read,
)

TRUSTED: Final = frozenset({"helm", CREATOR})
"""Field managers whose fields are taken over without ``--force``: the chart leaves the model to this code."""
EVERY: Final = 2.0
"""Seconds between two checks while waiting."""
_TRIES: Final = 5
_END_IT: Final = "`lidloop deploy promote` or `lidloop deploy rollback`"


@dataclass(frozen=True)
class Waiting:
    """Time-out and progress report while a change becomes ready.

    Attributes:
        seconds: time-out of each change.
        report: called with a text whenever the progress changes.
    """

    seconds: float = 600.0
    report: Callable[[str], None] = lambda text: None


class Outcome(NamedTuple):
    """Result of a command: True if anything changed, the state afterwards, and a sentence for users."""

    changed: bool
    state: State
    text: str


class NotReady(DeployError):
    """A change that did not become ready."""


class Rollout:
    """Changes of one InferenceService."""

    def __init__(
        self, cluster: Cluster, name: str, *, waiting: Waiting | None = None, force: bool = False
    ) -> None:
        """Work on the InferenceService ``name``; ``force`` takes over fields of other managers."""
        self.cluster, self.name = cluster, name
        self.waiting, self.force = waiting or Waiting(), force

    def item(self) -> Object:
        """Return the InferenceService.

        Raises:
            DeployError: if it does not exist.
        """
        found = self.cluster.service(self.name)
        if found is None:
            raise DeployError(
                f"there is no InferenceService {self.name} in namespace {self.cluster.namespace}: install "
                "the chart, or create one with `lidloop deploy --create`"
            )
        return found

    def deploy(self, model: Model) -> Outcome:
        """Serve a model in place of the present one; nothing changes if it is served already.

        Raises:
            DeployError: while a canary runs, or if the API server refuses the change.
            NotReady: if it did not become ready; the previous model is served again.
        """
        item = self.item()
        state, after = planned(item, model)
        if after == state:
            self._wait(state.stable)
            return Outcome(False, state, f"{model} serves already")
        self._change(item, state, after)
        return Outcome(True, after, f"{model} serves")

    def create(
        self, model: Model, *, keys: str = "", image: str = IMAGE, service_account: str = "default"
    ) -> Outcome:
        """Create the InferenceService, and its ServingRuntime if there is none of that name.

        Args:
            model: the model to serve.
            keys: Secret with the API keys; only for a new ServingRuntime.
            image: image of the server; only for a new ServingRuntime.
            service_account: ServiceAccount of the pods; its Secrets hold the object store's keys.

        Raises:
            DeployError: if the API server refuses it, or the server would have no access control.
            NotReady: if it did not become ready; the objects stay for inspection.
        """
        for item in self.first(model, keys=keys, image=image, service_account=service_account):
            self.cluster.create(item)
        self._wait(model)
        return Outcome(True, State(model), f"{model} serves, at the new InferenceService {self.name}")

    def first(self, model: Model, *, keys: str, image: str, service_account: str) -> list[dict[str, Any]]:
        """Return the objects that ``create`` makes."""
        namespace = self.cluster.namespace
        made = [inference_service(self.name, namespace, model, service_account=service_account)]
        if self.cluster.runtime(self.name) is None:
            if not keys:
                raise DeployError("a new server needs API keys: name their Secret with --keys-secret")
            made.insert(0, serving_runtime(self.name, namespace, keys=keys, image=image))
        return made

    def canary(self, model: Model, percent: int) -> Outcome:
        """Run a model as canary with a share of the traffic in percent, 0 to 100.

        It gets its share after its pods are ready: KServe 0.20 does not wait for that.

        Raises:
            DeployError: if another canary runs, the model is served already, or no route splits the traffic.
            NotReady: if it did not become ready; the canary is removed.
        """
        item = self.item()
        state, after = planned(item, model, percent=percent)
        if after == state:
            self._wait(model, percent)
        elif state.canary is None and percent:
            self._see(item, model, percent)
            unrouted = replace(after, percent=0)
            self._change(item, state, unrouted)
            self._change(self.item(), unrouted, after, back=state)
        else:
            self._change(item, state, after)
        share = f"{percent} % of the traffic" if percent else "no traffic"
        where = deployment_of(item, model)
        return Outcome(after != state, after, f"{model} gets {share}; its own Service is {where}")

    def promote(self) -> Outcome:
        """Make the canary's model the stable one: change the stable predictor, then remove the canary.

        The canary's pods could become the stable ones without a restart, but under another Service name, so
        clients inside the cluster would lose the connection.

        Raises:
            DeployError: if there is no canary.
            NotReady: if the stable predictor did not become ready; the state is as before, with the canary.
        """
        item = self.item()
        state = read(item)
        alone = promoted(state)
        both = replace(alone, canary=state.canary, percent=state.percent)
        if both != state:
            self._change(item, state, both)
        self._apply(self.item(), both, alone)
        self._wait(alone.stable)
        return Outcome(True, alone, f"{alone.stable} serves; its canary is gone")

    def rollback(self) -> Outcome:
        """Remove the canary; without one, serve the previous model again.

        Raises:
            DeployError: if there is neither.
            NotReady: if the previous model did not become ready; the present one stays.
        """
        item = self.item()
        state = read(item)
        after = rolled_back(state)
        if state.canary is not None:
            self._apply(item, state, after)
            return Outcome(True, after, f"the canary, {state.canary}, is gone; {state.stable} serves")
        self._change(item, state, after)
        return Outcome(True, after, f"{after.stable} serves again")

    def status(self) -> tuple[State, dict[str, Progress]]:
        """Return the state, and the readiness of ``stable`` and ``canary``."""
        item = self.item()
        state = read(item)
        looks = {"stable": self._see(item, state.stable, None)}
        if state.canary is not None:
            looks["canary"] = self._see(item, state.canary, state.percent)
        return state, looks

    def preview(self, after: State) -> tuple[Object, Object]:
        """Return the InferenceService before and after a change, which the server computes and checks."""
        item = self.item()
        return item, self._send(item, after, dry_run=True)

    def _change(self, item: Object, before: State, after: State, *, back: State | None = None) -> None:
        """Apply a change and wait for it; if it fails, return to ``back``, by default ``before``."""
        back = back or before
        model, percent = after.stable, None
        if after.stable == before.stable and after.canary is not None:
            model, percent = after.canary, after.percent
        self._see(item, model, percent)  # fails before the change if the permission to read is missing
        self._apply(item, before, after)
        try:
            self._wait(model, percent)
        except NotReady as error:
            self.waiting.report(f"undoing the change: {error}")
            try:
                self._apply(self.item(), after, back)
                self._wait(back.stable, ignore_failures=True)
                now = f"{back.stable} serves as before"
            except NotReady as worse:
                now = f"{back.stable} is set again, but not ready: {worse}"
            except Unavailable as worse:
                now = f"the change could not be undone: {worse}; undo it later with `lidloop deploy rollback`"
            raise NotReady(f"{model} did not become ready ({error}); {now}") from error

    def _apply(self, item: Object, expected: State, after: State) -> None:
        """Apply a change; retry if only other fields changed meanwhile, such as KServe's status."""
        for _ in range(_TRIES):
            if read(item) != expected:
                raise DeployError(
                    f"InferenceService {self.name} was changed by another client meanwhile; check "
                    "`lidloop deploy status` and try again"
                )
            try:
                made = self._send(item, after)
            except Changed:
                item = self.item()
                continue
            if read(made) != after:
                raise DeployError(
                    f"InferenceService {self.name} did not keep the applied fields: a webhook or another "
                    "manager changed them; check `kubectl get -o yaml --show-managed-fields`"
                )
            return
        raise DeployError(f"InferenceService {self.name} changed during {_TRIES} attempts; try again")

    def _send(self, item: Object, after: State, *, dry_run: bool = False) -> Object:
        made = document(item, after)
        try:
            return self.cluster.apply(made, seen=item, dry_run=dry_run, force=self.force)
        except Owned as error:
            if not error.managers <= TRUSTED:
                raise
        return self.cluster.apply(made, seen=item, dry_run=dry_run, force=True)

    def _wait(self, model: Model, percent: int | None = None, *, ignore_failures: bool = False) -> None:
        """Wait for the stable model, or with ``percent`` for the canary, to be ready.

        Args:
            ignore_failures: do not give up if KServe reports a failure, which may be the one just undone.
        """
        deadline = time.monotonic() + self.waiting.seconds
        last, failures = "", 0
        while True:
            try:
                progress = self._look(model, percent)
            except Unavailable as error:  # a restart or the network: the rollout continues
                progress = Progress(False, str(error))
            if progress.ready:
                return
            failures = failures + 1 if progress.failed and not ignore_failures else 0
            if failures == 2:  # one may still be about an earlier attempt
                raise NotReady(progress.failed)
            if progress.text != last:
                last = progress.text
                self.waiting.report(f"{model}: {last}")
            if time.monotonic() >= deadline:
                raise NotReady(f"{last}, after {self.waiting.seconds:.0f} s")
            time.sleep(EVERY)

    def _look(self, model: Model, percent: int | None) -> Progress:
        item = self.item()
        state = read(item)
        if (state.stable if percent is None else state.canary) != model:
            raise DeployError(
                f"InferenceService {self.name} was changed by another client while {model} was rolled out"
            )
        return self._see(item, model, percent)

    def _see(self, item: Object, model: Model, percent: int | None) -> Progress:
        if percent is None:
            return of_stable(item, self.cluster.deployment(deployment_of(item)), model)
        deployment = self.cluster.deployment(deployment_of(item, model))
        route = self.cluster.route(f"{self.name}-predictor") if percent else None
        return of_canary(item, deployment, route, model, percent)


def planned(item: Object, model: Model, *, percent: int | None = None) -> tuple[State, State]:
    """Return the state of an InferenceService before and after a model is deployed, or run as a canary.

    Raises:
        DeployError: if the change is not possible.
    """
    state = read(item)
    if percent is None:
        if state.canary is not None:
            raise DeployError(f"a canary, {state.canary}, runs beside {state.stable}; first {_END_IT}")
        # The address decides: changing only the annotations would restart the pods.
        return state, state if _same(state.stable, model) else _next(state, model)
    if not 0 <= percent <= 100:
        raise DeployError(f"a canary's share is 0 to 100 percent, not {percent}")
    if _same(state.stable, model):
        raise DeployError(f"{model} serves already; give another version as the canary")
    if state.canary is not None and not _same(state.canary, model):
        raise DeployError(f"another canary, {state.canary}, runs; first {_END_IT}")
    if percent and is_cluster_local(item):
        raise DeployError(
            "KServe creates no route to this InferenceService (it is labelled cluster-local), so its traffic "
            f"cannot be split; --canary 0 runs {canary_name(model)} with a Service of its own"
        )
    return state, replace(state, canary=model, percent=percent)


def promoted(state: State) -> State:
    """Return the state with the canary as the stable model.

    Raises:
        DeployError: if there is no canary.
    """
    if state.canary is None:
        raise DeployError(
            f"no canary runs beside {state.stable}; start one with `lidloop deploy --canary PERCENT`"
        )
    after = state if state.stable == state.canary else _next(state, state.canary)
    return replace(after, canary=None, percent=0)


def rolled_back(state: State) -> State:
    """Return the state without the canary; without one, the state with the previous model.

    Raises:
        DeployError: if there is neither.
    """
    if state.canary is not None:
        return replace(state, canary=None, percent=0)
    if not state.earlier:
        raise DeployError(f"no model before {state.stable} is recorded; deploy one with --version")
    return State(state.earlier[-1], earlier=state.earlier[:-1])


def _same(one: Model, other: Model) -> bool:
    return one.uri.rstrip("/") == other.uri.rstrip("/")


def _next(state: State, model: Model) -> State:
    earlier = (*state.earlier, state.stable)[-KEPT:]
    return replace(state, stable=model, earlier=earlier, marked=True, reported="")
