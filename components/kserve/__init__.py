"""The served model as KServe's InferenceService: the only place that knows KServe's API.

``state`` reads and writes the object's fields (pure), ``api`` talks to the API server, ``rollout`` deploys,
promotes and rolls back, and ``publish`` puts a registered version where KServe reads it.
"""
