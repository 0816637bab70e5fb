"""Deploy, promote and roll back a model on an InferenceService, and wait until it serves.

A change that does not become ready is undone. A change that somebody else makes meanwhile is never undone.
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
"""Managers whose fields are taken over without a question: the chart hands the model over to us."""
EVERY: Final = 2.0
"""Seconds between two looks."""
_TRIES: Final = 5
_END_IT: Final = "`lidloop deploy promote` or `lidloop deploy rollback`"


@dataclass(frozen=True)
class Patience:
    """How long a change may take to become ready.

    Attributes:
        seconds: in all.
        say: told how far it is, whenever that changed.
    """

    seconds: float = 600.0
    say: Callable[[str], None] = lambda text: None


class Outcome(NamedTuple):
    """What a command did: whether anything changed, the state now, and a sentence for people."""

    changed: bool
    state: State
    text: str


class NotReady(DeployError):
    """A change that did not become ready."""


class Rollout:
    """Changes of one InferenceService."""

    def __init__(
        self, cluster: Cluster, name: str, *, patience: Patience | None = None, force: bool = False
    ) -> None:
        """Work on the InferenceService ``name``; ``force`` takes over what other managers own."""
        self.cluster, self.name = cluster, name
        self.patience, self.force = patience or Patience(), force

    def item(self) -> Object:
        """The InferenceService.

        Raises:
            DeployError: where there is none.
        """
        found = self.cluster.service(self.name)
        if found is None:
            raise DeployError(
                f"there is no InferenceService {self.name} in namespace {self.cluster.namespace}: install "
                "the chart, or make one with `lidloop deploy --create`"
            )
        return found

    def deploy(self, model: Model) -> Outcome:
        """Let a model serve; nothing happens where it does.

        Raises:
            DeployError: while a canary runs, or where it is refused.
            NotReady: where it did not become ready; the model before serves again.
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
        """Make the InferenceService, and its ServingRuntime where there is none of that name.

        Args:
            model: what it serves.
            keys: Secret with the API keys; only for a new ServingRuntime.
            image: of the server; only for a new ServingRuntime.
            service_account: of the pods; its Secrets hold the object store's keys.

        Raises:
            DeployError: where it is refused, or a server would answer everyone.
            NotReady: where it did not become ready; it stays, to be looked at.
        """
        for item in self.first(model, keys=keys, image=image, service_account=service_account):
            self.cluster.create(item)
        self._wait(model)
        return Outcome(True, State(model), f"{model} serves, at a new InferenceService {self.name}")

    def first(self, model: Model, *, keys: str, image: str, service_account: str) -> list[dict[str, Any]]:
        """The objects that ``create`` makes."""
        namespace = self.cluster.namespace
        made = [inference_service(self.name, namespace, model, service_account=service_account)]
        if self.cluster.runtime(self.name) is None:
            if not keys:
                raise DeployError("a new server needs its API keys: name their Secret with --keys-secret")
            made.insert(0, serving_runtime(self.name, namespace, keys=keys, image=image))
        return made

    def canary(self, model: Model, percent: int) -> Outcome:
        """Give a model a share of the traffic, 0 to 100, beside the one that serves.

        It gets its share once its pods are ready, which KServe 0.20 itself does not wait for.

        Raises:
            DeployError: where another canary runs, it serves already, or nothing could split the traffic.
            NotReady: where it did not become ready; it is gone again.
        """
        item = self.item()
        state, after = planned(item, model, percent=percent)
        if after == state:
            self._wait(model, percent)
        elif state.canary is None and percent:
            self._see(item, model, percent)
            dark = replace(after, percent=0)
            self._change(item, state, dark)
            self._change(self.item(), dark, after, back=state)
        else:
            self._change(item, state, after)
        share = f"{percent} % of the traffic" if percent else "no traffic"
        where = deployment_of(item, model)
        return Outcome(after != state, after, f"{model} gets {share}, by itself at Service {where}")

    def promote(self) -> Outcome:
        """Let the canary serve: first the stable predictor takes its model, then the canary goes.

        The canary's own pods could become the stable ones without a restart, but under another Service name,
        and whoever reaches the server inside the cluster would lose it.

        Raises:
            DeployError: where there is no canary.
            NotReady: where the stable predictor did not become ready; all is as before, canary and all.
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
        """End the canary; without one, let the model before serve again.

        Raises:
            DeployError: where there is neither.
            NotReady: where the model before did not become ready; the present one serves on.
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
        """What serves and is tried, and how far the ``stable`` and the ``canary`` are."""
        item = self.item()
        state = read(item)
        looks = {"stable": self._see(item, state.stable, None)}
        if state.canary is not None:
            looks["canary"] = self._see(item, state.canary, state.percent)
        return state, looks

    def preview(self, after: State) -> tuple[Object, Object]:
        """The InferenceService as it is and as it would be, worked out and checked by the server."""
        item = self.item()
        return item, self._send(item, after, dry_run=True)

    def _change(self, item: Object, before: State, after: State, *, back: State | None = None) -> None:
        """Apply a change, wait for it, and go ``back``, by default to ``before``, where it fails."""
        back = back or before
        model, percent = after.stable, None
        if after.stable == before.stable and after.canary is not None:
            model, percent = after.canary, after.percent
        self._see(item, model, percent)  # who may not look must not begin
        self._apply(item, before, after)
        try:
            self._wait(model, percent)
        except NotReady as error:
            self.patience.say(f"undoing: {error}")
            try:
                self._apply(self.item(), after, back)
                self._wait(back.stable, hopeful=True)
                now = f"{back.stable} serves as before"
            except NotReady as worse:
                now = f"{back.stable} is set again but not ready: {worse}"
            except Unavailable as worse:
                now = f"it could not be undone: {worse}; `lidloop deploy rollback` does it later"
            raise NotReady(f"{model} did not become ready ({error}); {now}") from error

    def _apply(self, item: Object, expected: State, after: State) -> None:
        """Apply once more where only others' fields changed meanwhile, such as KServe's status."""
        for _ in range(_TRIES):
            if read(item) != expected:
                raise DeployError(
                    f"InferenceService {self.name} was changed by somebody else meanwhile; look at "
                    "`lidloop deploy status` and try again"
                )
            try:
                made = self._send(item, after)
            except Changed:
                item = self.item()
                continue
            if read(made) != after:
                raise DeployError(
                    f"InferenceService {self.name} did not take what was applied: a webhook, or another "
                    "manager of the same fields; look at `kubectl get -o yaml --show-managed-fields`"
                )
            return
        raise DeployError(f"InferenceService {self.name} changes all the time; try again")

    def _send(self, item: Object, after: State, *, dry_run: bool = False) -> Object:
        made = document(item, after)
        try:
            return self.cluster.apply(made, seen=item, dry_run=dry_run, force=self.force)
        except Owned as error:
            if not error.managers <= TRUSTED:
                raise
        return self.cluster.apply(made, seen=item, dry_run=dry_run, force=True)

    def _wait(self, model: Model, percent: int | None = None, *, hopeful: bool = False) -> None:
        """Wait for the stable model, or with ``percent`` for the canary, to be ready.

        Args:
            hopeful: do not give up for what KServe says of a failure, which may be the one just undone.
        """
        deadline = time.monotonic() + self.patience.seconds
        said, failures = "", 0
        while True:
            try:
                progress = self._look(model, percent)
            except Unavailable as error:  # the server restarts, or the network: the change is on its way
                progress = Progress(False, str(error))
            if progress.ready:
                return
            failures = failures + 1 if progress.failed and not hopeful else 0
            if failures == 2:  # once may be what KServe still says of another attempt
                raise NotReady(progress.failed)
            if progress.text != said:
                said = progress.text
                self.patience.say(f"{model}: {said}")
            if time.monotonic() >= deadline:
                raise NotReady(f"{said}, after {self.patience.seconds:.0f} s")
            time.sleep(EVERY)

    def _look(self, model: Model, percent: int | None) -> Progress:
        item = self.item()
        state = read(item)
        if (state.stable if percent is None else state.canary) != model:
            raise DeployError(
                f"InferenceService {self.name} was changed by somebody else while {model} was waited for"
            )
        return self._see(item, model, percent)

    def _see(self, item: Object, model: Model, percent: int | None) -> Progress:
        if percent is None:
            return of_stable(item, self.cluster.deployment(deployment_of(item)), model)
        deployment = self.cluster.deployment(deployment_of(item, model))
        route = self.cluster.route(f"{self.name}-predictor") if percent else None
        return of_canary(item, deployment, route, model, percent)


def planned(item: Object, model: Model, *, percent: int | None = None) -> tuple[State, State]:
    """What an InferenceService serves, and what it is to serve with a model deployed, or tried as a canary.

    Raises:
        DeployError: where that cannot be.
    """
    state = read(item)
    if percent is None:
        if state.canary is not None:
            raise DeployError(f"a canary, {state.canary}, runs beside {state.stable}; first {_END_IT}")
        # The address says what is served: marking a model that serves already would restart its pods.
        return state, state if _same(state.stable, model) else _next(state, model)
    if not 0 <= percent <= 100:
        raise DeployError(f"a canary's share is 0 to 100 percent, not {percent}")
    if _same(state.stable, model):
        raise DeployError(f"{model} serves already; a canary is another version")
    if state.canary is not None and not _same(state.canary, model):
        raise DeployError(f"another canary, {state.canary}, runs; first {_END_IT}")
    if percent and is_cluster_local(item):
        raise DeployError(
            "KServe makes no route to this InferenceService (it is labelled cluster-local), so nothing "
            f"splits its traffic; --canary 0 runs {canary_name(model)} beside it, at a Service of its own"
        )
    return state, replace(state, canary=model, percent=percent)


def promoted(state: State) -> State:
    """The canary serves, and is no canary any more.

    Raises:
        DeployError: where there is none.
    """
    if state.canary is None:
        raise DeployError(
            f"no canary runs beside {state.stable}; start one with `lidloop deploy --canary PERCENT`"
        )
    after = state if state.stable == state.canary else _next(state, state.canary)
    return replace(after, canary=None, percent=0)


def rolled_back(state: State) -> State:
    """The canary is gone; without one, the model before serves.

    Raises:
        DeployError: where there is neither.
    """
    if state.canary is not None:
        return replace(state, canary=None, percent=0)
    if not state.earlier:
        raise DeployError(f"nothing is known of a model before {state.stable}; deploy one by its --version")
    return State(state.earlier[-1], earlier=state.earlier[:-1])


def _same(one: Model, other: Model) -> bool:
    return one.uri.rstrip("/") == other.uri.rstrip("/")


def _next(state: State, model: Model) -> State:
    earlier = (*state.earlier, state.stable)[-KEPT:]
    return replace(state, stable=model, earlier=earlier, marked=True, reported="")
