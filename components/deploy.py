"""Step deploy: serve the registry's champion with KServe."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def deploy(
    registry: str,
    models: str,
    service: str,
    namespace: str,
    record: dsl.Output[dsl.Artifact],
    after: dsl.Input[dsl.Artifact] = None,
    canary: int = -1,
    timeout: float = 600.0,
) -> None:
    """Push the champion's bundle to the object store and point an InferenceService at it.

    Nothing happens if it is served already. A change that does not become ready is undone and the
    step fails.

    Args:
        registry: address of the registry.
        models: prefix of the bundles, s3://BUCKET/PREFIX; each version has its own below it.
        service: name of the InferenceService.
        namespace: its namespace.
        record: the served version, and the duration of the step in seconds.
        after: record of the step before; not read, it only orders the steps.
        canary: share of the traffic in percent that a canary gets; -1 replaces the served model at once.
        timeout: seconds within which it must become ready.
    """
    import json
    import logging
    from pathlib import Path

    from components.step import step

    with step("deploy") as this:
        from components.kserve.api import Cluster
        from components.kserve.publish import placement, publish
        from components.kserve.rollout import Rollout, Waiting

        log = logging.getLogger("lidloop")
        model = placement(registry, "champion", models)
        pushed = publish(registry, model, models, progress=this.progress("bytes"))
        log.info("%s: %s %s", model, "pushed to" if pushed else "is in the store already:", model.uri)
        cluster = Cluster.open(namespace=namespace)
        rollout = Rollout(cluster, service, waiting=Waiting(seconds=timeout, report=log.info))
        outcome = rollout.deploy(model) if canary < 0 else rollout.canary(model, canary)
        log.info("%s", outcome.text)
    content = {**outcome.state.to_dict(), "changed": outcome.changed, "seconds": this.seconds}
    Path(record.path).write_text(json.dumps(content))
