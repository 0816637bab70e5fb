{{- /* Arguments of `lidloop trigger`; tests hold them to its command line. */ -}}
{{- define "lidloop.trigger.arguments" -}}
{{- $pipelines := .Values.trigger.pipelines -}}
- --launcher=kubeflow
- --host=0.0.0.0
- --port=8090
- --state=/var/lib/lidloop
- --keys=/etc/lidloop/keys/{{ .Values.trigger.keysKey }}
- --cooldown={{ .Values.trigger.cooldown }}
- --parameters=/etc/lidloop/parameters/parameters.json
- {{ printf "--kfp-host=%s" $pipelines.host | quote }}
- {{ printf "--experiment=%s" $pipelines.experiment | quote }}
{{- with $pipelines.namespace }}
- --namespace={{ . }}
{{- end }}
{{- end -}}

{{- /* Name of the variable that holds a bearer token of Kubeflow Pipelines. */ -}}
{{- define "lidloop.trigger.tokenVariable" -}}LIDLOOP_KFP_TOKEN{{- end -}}

{{- /* Parameters of every run, as JSON: as given, and the registry of this release unless another is named. */ -}}
{{- define "lidloop.trigger.parameters" -}}
{{- $parameters := .Values.trigger.parameters -}}
{{- if and .Values.registry.enabled (not $parameters.registry) -}}
{{- $url := include "lidloop.url" (list . "registry" .Values.registry.service.port) -}}
{{- $parameters = merge (dict "registry" $url) $parameters -}}
{{- end -}}
{{- toJson $parameters -}}
{{- end -}}
