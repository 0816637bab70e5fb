"""Client of a Kubeflow Pipelines host: upload pipelines; start, list, stop and schedule runs; read logs.

It uses the API v2beta1 through the client that KFP generates (``kfp_server_api``); tasks and logs come from
v1beta1 and v1alpha1, because v2beta1 has neither the pods of tasks nor their errors. ``kfp.Client`` is not
used: it writes to the home directory, prints, and waits half a minute for an unreachable host.

Example:
    >>> host = KubeflowHost.from_settings("https://kfp.example", token_file="/run/token")  # doctest: +SKIP
    >>> id = host.submit({"sources": ["ibug:s3://b/afw"]}, run="may", experiment="lidloop")  # doctest: +SKIP
    >>> host.state(id)  # doctest: +SKIP
    'RUNNING'
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import kfp_server_api as api
import urllib3

from components.run_id import RUN_ID
from pipelines.kubeflow.access import Client, configure, secret
from pipelines.kubeflow.errors import HostError, PipelineUnknown, RunExists, RunUnknown, explain
from pipelines.kubeflow.pipeline_file import check, definitions, read_pipeline
from pipelines.kubeflow.runs import Run, Schedule, read_run, read_schedule, unnumbered
from pipelines.kubeflow.workflow import read_tasks
from pipelines.names import EXPERIMENT, PIPELINE

_TIMEOUT: Final = (5, 60)  # seconds to connect, to wait for bytes
_PAGE: Final = 100
_WITHOUT_LOG: Final = ("PENDING", "SKIPPED")
_T = TypeVar("_T")


class KubeflowHost:
    """One host, and the pipeline that it starts.

    Every method raises HostError, a LidloopError, if the host cannot be reached, rejects the credentials or
    refuses the request; the message names the cause and what to do.
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
        """Use ``from_settings``. Nothing is sent yet."""
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
        """Configure a host; nothing is sent yet.

        Args:
            host: ``https://HOST[/PATH]``; empty takes ``KF_PIPELINES_ENDPOINT``.
            pipeline: the pipeline to start: a compiled file, or the name of an uploaded pipeline.
            token_file: file of a bearer token, read again for every request; default: the token that
                Kubernetes mounts for KFP, if there is one (``pipelines.kubeflow.access``).
            cookies_file: file with a ``Cookie`` header, for a host behind a log-in page.
            ca_file: CA certificates to trust, PEM; empty for the public ones.
            namespace: profile of the user on a multi-user host; empty on others.
            ui: address of the user interface for links, if it differs from the host's.
            service_account: service account of the steps; empty for the host's default.

        Raises:
            HostError: for an invalid address or an unreadable file. No message repeats a token or cookie.
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
            parameters: the pipeline's parameters by name; others keep their defaults. ``run`` is set to the
                run's name, and so is a missing ``sources_fingerprint``, so that KFP's cache takes no
                results of another run.
            run: name of the run on the host and in the registry, different for every run.
            experiment: experiment of the run; created if it does not exist.

        Raises:
            RunExists: if the experiment has a run of that name; ``id`` of the error is its id.
            PipelineUnknown: if the host has no such pipeline.
            HostError: for an unknown or missing parameter.
        """
        body = self.body(parameters, run=run)
        place = self._experiment(experiment)
        there = self.find(run, experiment=experiment)
        if there:
            raise RunExists(run, there)
        body.experiment_id = place
        return str(self._ask("a run", self._runs.run_service_create_run, run=body).run_id)

    def find(self, run: str, *, experiment: str = EXPERIMENT) -> str | None:
        """Return the id of the newest run of that name in the experiment; None if there is none."""
        place = self._experiment(experiment, create=False)
        if place is None:
            return None
        answer = self._ask(
            "runs", self._runs.run_service_list_runs, filter=_named(run), page_size=1,
            sort_by="created_at desc", experiment_id=place,
        )  # fmt: skip
        return str(answer.runs[0].run_id) if answer.runs else None

    def state(self, id: str) -> str:
        """Return PENDING, RUNNING, SUCCEEDED, FAILED, CANCELING, CANCELED, PAUSED or SKIPPED.

        Raises:
            RunUnknown: if the host has no such run.
        """
        return self.run(id, tasks=False).state

    def link(self, id: str) -> str:
        """Return the address of a run in the user interface."""
        return f"{self._ui}/#/runs/details/{quote(id, safe='')}"

    def run(self, id: str, *, tasks: bool = True) -> Run:
        """Return a run.

        Args:
            id: id of the run.
            tasks: with its tasks, in order of their start; without them the answer is much smaller.

        Raises:
            RunUnknown: if the host has no such run.
        """
        answer = self._ask(f"run {id}", self._runs.run_service_get_run, run_id=id, unknown=RunUnknown)
        run = read_run(answer, self.link(id))
        return replace(run, tasks=read_tasks(self._workflow(id))) if tasks else run

    def runs(self, *, experiment: str = EXPERIMENT, limit: int = 20) -> list[Run]:
        """Return the newest runs of an experiment, without their tasks."""
        place = self._experiment(experiment, create=False)
        if place is None:
            return []
        answer = self._ask(
            "runs", self._runs.run_service_list_runs, experiment_id=place, page_size=min(limit, _PAGE),
            sort_by="created_at desc",
        )  # fmt: skip
        return [read_run(run, self.link(run.run_id)) for run in answer.runs or []]

    def logs(self, id: str, *, step: str = "") -> Iterator[tuple[str, str]]:
        """Yield the log lines of a run's steps as ``(task, line)``, in order of their start.

        Args:
            id: id of the run.
            step: only tasks of this name, with or without number: ``train`` or ``train-2``.

        Raises:
            RunUnknown: if the host has no such run.
            HostError: if a pod's log is deleted; the link shows the logs that the host has archived.
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
        """Request the end of a run."""
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
        """Start runs on a schedule, one at a time, and return the schedule's id.

        Args:
            cron: six fields as in KFP, the first is the second: ``0 0 3 * * 1`` is Mondays at three. Five
                fields get the second 0. The time zone is the host's, UTC by default.
            parameters: as of ``submit``. The name of each run in the registry is its id on the host.
            name: name of the schedule.
            experiment: experiment of its runs.
            enabled: False to create it disabled.

        Raises:
            HostError: also if a schedule of that name exists, or the pipeline was not compiled for a cluster,
                so that its steps do not know the run's id.
        """
        if any(there.name == name for there in self.schedules(experiment=experiment)):
            raise HostError(f"a schedule {name!r} exists already; delete it or give another name")
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
        """Return the schedules of an experiment."""
        place = self._experiment(experiment, create=False)
        if place is None:
            return []
        answer = self._ask(
            "schedules", self._recurring.recurring_run_service_list_recurring_runs,
            experiment_id=place, page_size=_PAGE,
        )  # fmt: skip
        return [read_schedule(entry) for entry in answer.recurring_runs or []]

    def delete_schedule(self, id: str) -> None:
        """Delete a schedule; the runs that it started stay."""
        delete = self._recurring.recurring_run_service_delete_recurring_run
        self._ask(f"schedule {id}", delete, recurring_run_id=id)

    def upload(self, path: Path, *, version: str, description: str = "") -> str:
        """Upload a compiled file as the newest version of the pipeline, and return the version's id.

        Args:
            path: a compiled file.
            version: unique name of the version.
            description: text for the user interface.
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
        """Return the request of ``submit`` without the experiment; parameters are checked.

        For a pipeline file nothing is requested from the host.
        """
        spec, reference = self._pipeline()
        given = {**parameters, "run": run}
        given.setdefault("sources_fingerprint", run)
        check(given, definitions(spec))
        if not run and spec and RUN_ID not in json.dumps(spec):
            raise HostError(
                "the run has no name, and its steps would not know its id: compile with --cluster"
            )
        return api.V2beta1Run(
            display_name=run or None,
            pipeline_spec=spec if reference is None else None,
            pipeline_version_reference=reference,
            runtime_config=api.V2beta1RuntimeConfig(parameters=given),
            service_account=self.service_account or None,
        )

    def describe(self, parameters: Mapping[str, Any], *, run: str) -> dict[str, Any]:
        """Return the request of ``submit`` as plain values; nothing is sent."""
        content: dict[str, Any] = self._client.sanitize_for_serialization(self.body(parameters, run=run))
        return content

    def definitions(self) -> dict[str, dict[str, Any]]:
        """Return the pipeline's parameters by name, as ``pipeline_file.definitions`` does."""
        return definitions(self._pipeline()[0])

    def _pipeline(self) -> tuple[dict[str, Any], api.V2beta1PipelineVersionReference | None]:
        """The pipeline's specification, and its reference on the host if it is uploaded."""
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
        """Id of the uploaded pipeline; None if it is not there."""
        find = self._pipelines.pipeline_service_list_pipelines
        found = self._ask("pipelines", find, filter=_named(self.pipeline), page_size=1, **self._space())
        return str(found.pipelines[0].pipeline_id) if found.pipelines else None

    def _experiment(self, name: str, *, create: bool = True) -> str | None:
        listing = self._experiments.experiment_service_list_experiments
        found = self._ask("experiments", listing, filter=_named(name), page_size=1, **self._space())
        if found.experiments:
            return str(found.experiments[0].experiment_id)
        if not create:
            return None
        wanted = api.V2beta1Experiment(display_name=name, namespace=self.namespace or None)
        made = self._ask(
            "an experiment", self._experiments.experiment_service_create_experiment, experiment=wanted
        )
        return str(made.experiment_id)

    def _workflow(self, id: str) -> str:
        """Argo's workflow of a run as JSON; empty if there is none yet."""
        path = f"/apis/v1beta1/runs/{quote(id, safe='')}"
        answer: dict[str, Any] = self._ask(
            f"the workflow of run {id}", self._client.call_api, path, "GET",
            auth_settings=["Bearer"], response_type="object", _return_http_data_only=True, unknown=RunUnknown,
        )  # fmt: skip
        return str((answer.get("pipeline_runtime") or {}).get("workflow_manifest") or "")

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
            f"{cron!r} has {len(fields)} fields; a schedule needs six: second minute hour day month weekday"
        )
    return " ".join(fields)
