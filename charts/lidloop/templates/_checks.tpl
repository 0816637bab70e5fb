{{- /* Checks that values.schema.json cannot express with a helpful message. All errors are listed at once. */ -}}
{{- define "lidloop.checks" -}}
{{- $serving := .Values.serving -}}
{{- $registry := .Values.registry -}}
{{- $policy := .Values.networkPolicy -}}
{{- $wrong := list -}}
{{- $trigger := .Values.trigger -}}
{{- $exporter := .Values.exporter -}}
{{- $alertmanager := .Values.monitoring.alertmanager -}}
{{- if not (or $serving.enabled $registry.enabled $trigger.enabled $exporter.enabled) -}}
{{- $wrong = append $wrong "nothing to install: enable serving, registry, trigger or exporter" -}}
{{- end -}}
{{- if $serving.enabled -}}
{{- $jwt := $serving.access.jwt -}}
{{- $jwks := compact (list $jwt.jwksUrl $jwt.jwksConfigMap) -}}
{{- $scaling := $serving.autoscaling -}}
{{- if not $serving.model.uri -}}
{{- $wrong = append $wrong "serving.model.uri is missing: the URI of the bundle, s3://BUCKET/models/lidloop/VERSION or pvc://CLAIM/PATH" -}}
{{- end -}}
{{- if not (or $serving.access.keysSecret $jwt.issuer $jwt.audience $jwks) -}}
{{- $wrong = append $wrong "serving.access is missing: without access control the server answers on loopback only. Set serving.access.keysSecret (a Secret with hashed API keys) or serving.access.jwt (issuer, audience and jwksUrl or jwksConfigMap)" -}}
{{- end -}}
{{- if and (or $jwt.issuer $jwt.audience $jwks) (not (and $jwt.issuer $jwt.audience (eq (len $jwks) 1))) -}}
{{- $wrong = append $wrong "serving.access.jwt needs issuer, audience and one of jwksUrl and jwksConfigMap" -}}
{{- end -}}
{{- if and (eq $serving.mode "kserve") (or $serving.ingress.enabled $serving.httpRoute.enabled) -}}
{{- $wrong = append $wrong "serving.ingress and serving.httpRoute are for serving.mode=deployment; KServe makes its own route, with serving.kserve.clusterLocal=false" -}}
{{- end -}}
{{- if and $serving.ingress.enabled (not (and $serving.ingress.host $serving.ingress.tlsSecret)) -}}
{{- $wrong = append $wrong "serving.ingress needs host and tlsSecret, so that photographs and keys are encrypted" -}}
{{- end -}}
{{- if and $serving.httpRoute.enabled (not (and $serving.httpRoute.parentRefs $serving.httpRoute.hostnames)) -}}
{{- $wrong = append $wrong "serving.httpRoute needs parentRefs and hostnames" -}}
{{- end -}}
{{- if gt (int $scaling.min) (int $scaling.max) -}}
{{- $wrong = append $wrong "serving.autoscaling.min is larger than serving.autoscaling.max" -}}
{{- end -}}
{{- if and (eq $scaling.kind "keda") (not $scaling.prometheus) -}}
{{- $wrong = append $wrong "serving.autoscaling.prometheus is missing: the URL where KEDA reads the requests in progress" -}}
{{- end -}}
{{- if and (eq $serving.mode "kserve") $scaling.metricsAdapter -}}
{{- $wrong = append $wrong "serving.autoscaling.metricsAdapter is for serving.mode=deployment; on KServe, scaling by requests in progress needs kind=keda" -}}
{{- end -}}
{{- if and $policy.enabled (hasPrefix "s3://" $serving.model.uri) (not $policy.objectStore.to) -}}
{{- $wrong = append $wrong "networkPolicy.objectStore.to is missing: the peers of the object store, from which the bundle is downloaded" -}}
{{- end -}}
{{- if and $policy.enabled $jwt.jwksUrl (not $policy.identityProvider.to) -}}
{{- $wrong = append $wrong "networkPolicy.identityProvider.to is missing: the peers of serving.access.jwt.jwksUrl" -}}
{{- end -}}
{{- end -}}
{{- if $registry.enabled -}}
{{- if not $registry.database.secret -}}
{{- $wrong = append $wrong "registry.database.secret is missing: a Secret with the URI of a Postgres database" -}}
{{- end -}}
{{- if not $registry.auth.secret -}}
{{- $wrong = append $wrong "registry.auth.secret is missing: a Secret with username, password and session-key; the registry always requires authentication" -}}
{{- end -}}
{{- if not $registry.artifacts -}}
{{- $wrong = append $wrong "registry.artifacts is missing: the location of bundles, s3://BUCKET/PATH" -}}
{{- end -}}
{{- if and $registry.ingress.enabled (not (and $registry.ingress.host $registry.ingress.tlsSecret)) -}}
{{- $wrong = append $wrong "registry.ingress needs host and tlsSecret, so that passwords are encrypted" -}}
{{- end -}}
{{- if and $policy.enabled (not $policy.database.to) -}}
{{- $wrong = append $wrong "networkPolicy.database.to is missing: the peers of Postgres, where the registry stores its tables" -}}
{{- end -}}
{{- if and $policy.enabled (not $policy.objectStore.to) -}}
{{- $wrong = append $wrong "networkPolicy.objectStore.to is missing: the peers of the object store, where the registry stores bundles" -}}
{{- end -}}
{{- end -}}
{{- if $trigger.enabled -}}
{{- if not $trigger.keysSecret -}}
{{- $wrong = append $wrong "trigger.keysSecret is missing: a Secret with hashed API keys; the trigger always requires authentication" -}}
{{- end -}}
{{- end -}}
{{- if $exporter.enabled -}}
{{- if not $exporter.registry.secret -}}
{{- $wrong = append $wrong "exporter.registry.secret is missing: a Secret with username and password of a registry user with read permission" -}}
{{- end -}}
{{- if not (or $registry.enabled $exporter.registry.uri) -}}
{{- $wrong = append $wrong "exporter.registry.uri is missing: this release has no registry" -}}
{{- end -}}
{{- if and $policy.enabled $exporter.registry.uri (not $policy.registry.to) -}}
{{- $wrong = append $wrong "networkPolicy.registry.to is missing: the peers of exporter.registry.uri" -}}
{{- end -}}
{{- if and $policy.enabled $exporter.runs (not $policy.objectStore.to) -}}
{{- $wrong = append $wrong "networkPolicy.objectStore.to is missing: the peers of the object store, where the exporter reads runs" -}}
{{- end -}}
{{- end -}}
{{- if or $trigger.enabled (and $exporter.enabled $exporter.pipelines) -}}
{{- $pipelines := .Values.pipelines -}}
{{- if and $pipelines.tokenSecret $pipelines.serviceAccountToken -}}
{{- $wrong = append $wrong "pipelines.tokenSecret and pipelines.serviceAccountToken exclude each other" -}}
{{- end -}}
{{- if and $pipelines.serviceAccountToken (not $pipelines.namespace) -}}
{{- $wrong = append $wrong "pipelines.namespace is missing: the profile in which ServiceAccounts of this release get their permissions" -}}
{{- end -}}
{{- if and $policy.enabled (not $policy.pipelines.to) -}}
{{- $wrong = append $wrong "networkPolicy.pipelines.to is missing: the peers of the API of Kubeflow Pipelines" -}}
{{- end -}}
{{- end -}}
{{- if $alertmanager.enabled -}}
{{- if not $trigger.enabled -}}
{{- $wrong = append $wrong "monitoring.alertmanager sends alerts to the trigger: set trigger.enabled=true" -}}
{{- end -}}
{{- if not $alertmanager.secret -}}
{{- $wrong = append $wrong "monitoring.alertmanager.secret is missing: a Secret with the trigger's API key for Alertmanager" -}}
{{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n- %s" (join "\n- " (uniq $wrong))) -}}
{{- end -}}
{{- end -}}
