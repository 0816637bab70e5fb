"""A Kubeflow Pipelines host: send it the loop, ask after its runs, read their logs, start them by the clock.

It speaks v2beta1 through the client that KFP generates from its API (``kfp_server_api``). ``kfp.Client``, the
one around it, writes to the home directory, prints, and waits half a minute for a host that is not there.

Example:
    >>> host = KubeflowHost.from_settings("https://kfp.example", token_file="/run/token")  # doctest: +SKIP
    >>> id = host.submit({"sources": ["ibug:s3://b/afw"]}, run="may", experiment="lidloop")  # doctest: +SKIP
    >>> host.state(id)  # doctest: +SKIP
    'RUNNING'
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import kfp_server_api as api
import urllib3

from components.run_id import RUN_ID
from pipelines.kubeflow.access import Client, configure, secret
from pipelines.kubeflow.errors import HostError, PipelineUnknown, RunExists, RunUnknown, explain
from pipelines.kubeflow.pipeline_file import check, definitions, read_pipeline
from pipelines.kubeflow.runs import ENDED, Run, Schedule, Task, read_run, read_schedule, unnumbered

__all__ = [
    "ENDED",
    "EXPERIMENT",
    "PIPELINE",
    "HostError",
    "KubeflowHost",
    "PipelineUnknown",
    "Run",
    "RunExists",
    "RunUnknown",
    "Schedule",
    "Task",
    "read_pipeline",
]

PIPELINE: Final = "lidloop-refinement"
"""Name under which the loop is uploaded to a host."""

EXPERIMENT: Final = "lidloop"

_TIMEOUT: Final = (5, 60)  # seconds to connect, to wait for bytes
_PAGE: Final = 100
_WITHOUT_LOG: Final = ("PENDING", "SKIPPED")
_T = TypeVar("_T")


class KubeflowHost:
    """One host, and the pipeline that is started there.

    Every method raises HostError, a LidloopError, where the host is out of reach, does not let the caller in,
    or refuses; the message says which and what to do.
    """

    def __init__(
        self,
        configuration: api.Configuration,
        *,
        pipeline: str | Path = PIPELINE,
        cookies: str | None = None,
        namespace: str = "",
        ui: str = "",
        service_account: str = "",
    ) -> None:
        """Use ``from_settings``. Nothing is asked of the host yet."""
        self.host = str(configuration.host)
        self.pipeline, self.namespace, self.service_account = pipeline, namespace, service_account
        self._ui = (ui or self.host).rstrip("/")
        self._client = Client(configuration, cookie=cookies)
        self._runs = api.RunServiceApi(self._client)
        self._recurring = api.RecurringRunServiceApi(self._client)
        self._experiments = api.ExperimentServiceApi(self._client)
        self._pipelines = api.PipelineServiceApi(self._client)
        self._uploads = api.PipelineUploadServiceApi(self._client)

    @classmethod
    def from_settings(
        cls,
        host: str = "",
        *,
        pipeline: str | Path = PIPELINE,
        token_file: str | Path | None = None,
        cookies_file: str | Path | None = None,
        ca_file: str | Path | None = None,
        namespace: str = "",
        ui: str = "",
        service_account: str = "",
    ) -> KubeflowHost:
        """Describe a host.

        Args:
            host: ``https://HOST[/PATH]``; empty takes ``KF_PIPELINES_ENDPOINT``.
            pipeline: what is started: a compiled file, or the name of a pipeline that is uploaded there.
            token_file: bearer token, read again for every request. By default the token that Kubernetes
                projects for KFP's audience, where there is one (``pipelines.kubeflow.host.access``).
            cookies_file: a ``Cookie`` header's text, for a host behind a log-in page.
            ca_file: CA certificates to trust, PEM; empty for the public ones.
            namespace: profile of the caller on a host for many; empty on one that knows no profiles.
            ui: address for links, where people reach the host by another one.
            service_account: service account of the steps; empty for the host's default.

        Raises:
            HostError: for an address or file that cannot be used. No message repeats a token or cookie.
        """
        return cls(
            configure(host, token_file=token_file, ca_file=ca_file),
            pipeline=pipeline,
            cookies=secret(cookies_file, "cookies file") if cookies_file else None,
            namespace=namespace,
            ui=ui,
            service_account=service_account,
        )

    def submit(self, parameters: Mapping[str, Any], *, run: str, experiment: str = EXPERIMENT) -> str:
        """Start a run and return its id.

        Args:
            parameters: of the pipeline, by name; those left out keep the pipeline's defaults. ``run``, and
                ``sources_fingerprint`` where it is left out, become the run's name, so that nothing of
                another run is taken for this one's.
            run: name of the run on the host and in the registry; another for every run.
            experiment: where the host shows it; made where there is none.

        Raises:
            RunExists: where the experiment holds a run of that name; it is not started again, its id is
                the error's ``id``.
            PipelineUnknown: where the host has no such pipeline.
            HostError: for a parameter that the pipeline does not have, or one it needs and was not given.
        """
        body = self.body(parameters, run=run)
        place = self._experiment(experiment)
        there = self.find(run, experiment=experiment)
        if there:
            raise RunExists(run, there)
        body.experiment_id = place
        return str(self._ask("a run", self._runs.run_service_create_run, run=body).run_id)

    def find(self, run: str, *, experiment: str = EXPERIMENT) -> str | None:
        """The id of the newest run of that name in the experiment; None where there is none."""
        place = self._experiment(experiment, create=False)
        if place is None:
            return None
        answer = self._ask(
            "its runs", self._runs.run_service_list_runs, filter=_named(run), page_size=1,
            sort_by="created_at desc", experiment_id=place,
        )  # fmt: skip
        return str(answer.runs[0].run_id) if answer.runs else None

    def state(self, id: str) -> str:
        """PENDING, RUNNING, SUCCEEDED, FAILED, CANCELING, CANCELED, PAUSED or SKIPPED.

        Raises:
            RunUnknown: where the host has no such run.
        """
        return self.run(id).state

    def link(self, id: str) -> str:
        """Where people look at a run."""
        return f"{self._ui}/#/runs/details/{quote(id, safe='')}"

    def run(self, id: str) -> Run:
        """A run with its tasks, in the order in which they began.

        Raises:
            RunUnknown: where the host has no such run.
        """
        answer = self._ask(f"run {id}", self._runs.run_service_get_run, run_id=id, unknown=RunUnknown)
        return read_run(answer, self.link(id))

    def runs(self, *, experiment: str = EXPERIMENT, limit: int = 20) -> list[Run]:
        """The newest runs of an experiment, without their tasks."""
        place = self._experiment(experiment, create=False)
        if place is None:
            return []
        answer = self._ask(
            "its runs", self._runs.run_service_list_runs, experiment_id=place, page_size=min(limit, _PAGE),
            sort_by="created_at desc",
        )  # fmt: skip
        return [read_run(run, self.link(run.run_id)) for run in answer.runs or []]

    def logs(self, id: str, *, step: str = "") -> Iterator[tuple[str, str]]:
        """What the steps of a run have logged so far, as ``(task, line)`` in the order in which they began.

        Args:
            id: of the run.
            step: tasks of this name only, with their number or without: ``train`` or ``train-2``.

        Raises:
            RunUnknown: where the host has no such run.
            HostError: where a pod's log is gone; the link shows what the host has kept.
        """
        for task in self.run(id).tasks:
            if (
                task.pod
                and task.state not in _WITHOUT_LOG
                and (not step or step in (task.name, unnumbered(task.name)))
            ):
                for line in self._log(id, task.pod).splitlines():
                    yield task.name, line

    def stop(self, id: str) -> None:
        """Ask the host to end a run."""
        self._ask(f"run {id}", self._runs.run_service_terminate_run, run_id=id, unknown=RunUnknown)

    def schedule(
        self,
        cron: str,
        parameters: Mapping[str, Any],
        *,
        name: str,
        experiment: str = EXPERIMENT,
        enabled: bool = True,
    ) -> str:
        """Start a run again and again by the clock, one at a time, and return the schedule's id.

        Args:
            cron: six fields as KFP takes them, the first are seconds: ``0 0 3 * * 1``, Mondays at three. Five
                fields get the second 0. The host's time, which is UTC unless it was set up otherwise.
            parameters: as of ``submit``. Each run is known in the registry by its id on the host.
            name: of the schedule.
            experiment: where its runs appear.
            enabled: whether it begins at once.

        Raises:
            HostError: also where a schedule of that name is there, or a pipeline that was not compiled for a
                cluster, whose steps need a name.
        """
        if any(there.name == name for there in self.schedules(experiment=experiment)):
            raise HostError(f"there is a schedule {name!r} already; delete it or give another name")
        body = self.body(parameters, run="")
        recurring = api.V2beta1RecurringRun(
            display_name=name,
            experiment_id=self._experiment(experiment),
            mode=api.RecurringRunMode.ENABLE if enabled else api.RecurringRunMode.DISABLE,
            max_concurrency="1",
            no_catchup=True,
            pipeline_spec=body.pipeline_spec,
            pipeline_version_reference=body.pipeline_version_reference,
            runtime_config=body.runtime_config,
            service_account=body.service_account,
            trigger=api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=_six_fields(cron))),
        )
        create = self._recurring.recurring_run_service_create_recurring_run
        return str(self._ask("a schedule", create, recurring_run=recurring).recurring_run_id)

    def schedules(self, *, experiment: str = EXPERIMENT) -> list[Schedule]:
        """The recurring runs of an experiment."""
        place = self._experiment(experiment, create=False)
        if place is None:
            return []
        answer = self._ask(
            "its schedules", self._recurring.recurring_run_service_list_recurring_runs,
            experiment_id=place, page_size=_PAGE,
        )  # fmt: skip
        return [read_schedule(entry) for entry in answer.recurring_runs or []]

    def delete_schedule(self, id: str) -> None:
        """Start no more runs by it; those that it started stay."""
        delete = self._recurring.recurring_run_service_delete_recurring_run
        self._ask(f"schedule {id}", delete, recurring_run_id=id)

    def upload(self, path: Path, *, version: str, description: str = "") -> str:
        """Upload a compiled file as the newest version of ``pipeline``, and return the version's id.

        Args:
            path: a compiled file.
            version: name of the version; another for every one.
            description: what people read beside it.
        """
        read_pipeline(path)
        there = self._found()
        if there is None:
            wanted = api.V2beta1Pipeline(
                name=str(self.pipeline), display_name=str(self.pipeline), namespace=self.namespace or None
            )
            made = self._ask("a pipeline", self._pipelines.pipeline_service_create_pipeline, pipeline=wanted)
            there = str(made.pipeline_id)
        answer = self._ask(
            f"version {version}", self._uploads.upload_pipeline_version, str(path),
            name=version, display_name=version, pipelineid=there, description=description,
        )  # fmt: skip
        return str(answer.pipeline_version_id)

    def body(self, parameters: Mapping[str, Any], *, run: str) -> api.V2beta1Run:
        """What ``submit`` sends, without the experiment: parameters checked against the pipeline.

        A run of a file asks nothing of the host.
        """
        spec, reference = self._pipeline()
        given = {**parameters, "run": run}
        given.setdefault("sources_fingerprint", run)
        check(given, definitions(spec))
        if not run and spec and RUN_ID not in json.dumps(spec):
            raise HostError(
                "the run has no name, and its steps would not know its id: compile it with --cluster"
            )
        return api.V2beta1Run(
            display_name=run or None,
            pipeline_spec=spec if reference is None else None,
            pipeline_version_reference=reference,
            runtime_config=api.V2beta1RuntimeConfig(parameters=given),
            service_account=self.service_account or None,
        )

    def describe(self, parameters: Mapping[str, Any], *, run: str) -> dict[str, Any]:
        """What ``submit`` sends, as plain values; nothing is sent."""
        content: dict[str, Any] = self._client.sanitize_for_serialization(self.body(parameters, run=run))
        return content

    def definitions(self) -> dict[str, dict[str, Any]]:
        """The pipeline's parameters by name, as ``pipelines.kubeflow.host.pipeline_file.definitions``
        gives them."""
        return definitions(self._pipeline()[0])

    def _pipeline(self) -> tuple[dict[str, Any], api.V2beta1PipelineVersionReference | None]:
        """The specification that is started, and where the host has it."""
        if isinstance(self.pipeline, Path) or str(self.pipeline).endswith((".yaml", ".yml")):
            return read_pipeline(Path(self.pipeline)), None
        pipeline = self._found()
        if pipeline is None:
            raise PipelineUnknown(self.pipeline, self.host)
        versions = self._ask(
            "the pipeline's versions", self._pipelines.pipeline_service_list_pipeline_versions,
            pipeline_id=pipeline, page_size=1, sort_by="created_at desc",
        )  # fmt: skip
        if not versions.pipeline_versions:
            raise PipelineUnknown(self.pipeline, self.host)
        version = versions.pipeline_versions[0]
        reference = api.V2beta1PipelineVersionReference(
            pipeline_id=pipeline, pipeline_version_id=version.pipeline_version_id
        )
        return version.pipeline_spec or {}, reference

    def _found(self) -> str | None:
        """The id of the uploaded pipeline."""
        find = self._pipelines.pipeline_service_list_pipelines
        found = self._ask("its pipelines", find, filter=_named(self.pipeline), page_size=1, **self._space())
        return str(found.pipelines[0].pipeline_id) if found.pipelines else None

    def _experiment(self, name: str, *, create: bool = True) -> str | None:
        listing = self._experiments.experiment_service_list_experiments
        found = self._ask("its experiments", listing, filter=_named(name), page_size=1, **self._space())
        if found.experiments:
            return str(found.experiments[0].experiment_id)
        if not create:
            return None
        wanted = api.V2beta1Experiment(display_name=name, namespace=self.namespace or None)
        made = self._ask(
            "an experiment", self._experiments.experiment_service_create_experiment, experiment=wanted
        )
        return str(made.experiment_id)

    def _log(self, id: str, pod: str) -> str:
        path = f"/apis/v1alpha1/runs/{quote(id, safe='')}/nodes/{quote(pod, safe='')}/log"
        text = self._ask(
            f"the log of {pod}", self._client.call_api, path, "GET", auth_settings=["Bearer"],
            response_type="str", _return_http_data_only=True, _preload_content=False,
        )  # fmt: skip
        return str(text.data.decode(errors="replace"))

    def _space(self) -> dict[str, Any]:
        return {"namespace": self.namespace} if self.namespace else {}

    def _ask(
        self,
        what: str,
        call: Callable[..., _T],
        *args: Any,
        unknown: type[HostError] = HostError,
        **named: Any,
    ) -> _T:
        try:
            return call(*args, _request_timeout=_TIMEOUT, **named)
        except (api.ApiException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise explain(error, what=what, host=self.host, unknown=unknown) from error


def _named(name: str | Path) -> str:
    predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": str(name)}
    return json.dumps({"predicates": [predicate]})


def _six_fields(cron: str) -> str:
    fields = cron.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise HostError(
            f"{cron!r} has {len(fields)} fields; a schedule has six: second minute hour day month weekday"
        )
    return " ".join(fields)
