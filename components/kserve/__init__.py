"""Deployment of models with KServe; no other package knows KServe's API.

``state`` reads and writes the fields of an InferenceService (pure), ``readiness`` judges its status (pure),
``api`` calls the API server, ``rollout`` deploys, promotes and rolls back, ``create`` makes a first
InferenceService, and ``publish`` pushes a registered version to the object store that KServe reads.
"""
