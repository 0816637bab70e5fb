"""Step deploy: the registry's champion becomes what KServe serves."""

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
):
    """Push the champion's bundle to the object store and let an InferenceService serve it.

    Nothing happens where it serves already. What does not become ready is undone, and the step fails.

    Args:
        registry: address of the registry.
        models: where bundles go, one prefix for each version, s3://BUCKET/PREFIX.
        service: name of the InferenceService.
        namespace: its namespace.
        record: which version serves, and what the step took.
        after: the record of the step before, only so that this one waits for it.
        canary: share of the traffic in percent for a first trial, or -1 to let it serve everyone.
        timeout: seconds that it may take to become ready.
    """
    import json
    import logging
    from pathlib import Path

    from components.step import step

    with step("deploy") as this:
        from components.kserve.api import Cluster
        from components.kserve.publish import placement, publish
        from components.kserve.rollout import Patience, Rollout

        log = logging.getLogger("lidloop")
        model = placement(registry, "champion", models)
        pushed = publish(registry, model, models, progress=this.progress("bytes"))
        log.info("%s: %s %s", model, "pushed to" if pushed else "in the store already,", model.uri)
        cluster = Cluster.open(namespace=namespace)
        rollout = Rollout(cluster, service, patience=Patience(seconds=timeout, say=log.info))
        outcome = rollout.deploy(model) if canary < 0 else rollout.canary(model, canary)
        log.info("%s", outcome.text)
    content = {**outcome.state.to_dict(), "changed": outcome.changed, "seconds": this.seconds}
    Path(record.path).write_text(json.dumps(content))
