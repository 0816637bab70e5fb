"""Client of a Kubeflow Pipelines host: access, pipeline versions, runs, logs."""
