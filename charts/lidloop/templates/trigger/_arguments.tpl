{{- /* Arguments of `lidloop trigger`; tests hold them to its command line. */ -}}
{{- define "lidloop.trigger.arguments" -}}
{{- $pipelines := .Values.trigger.pipelines -}}
- --host=0.0.0.0
- --port=8090
- --state=/var/lib/lidloop
- --keys=/etc/lidloop/keys/{{ .Values.trigger.keysKey }}
- --cooldown={{ .Values.trigger.cooldown }}
- --run-defaults=/etc/lidloop/parameters/parameters.json
{{- range .Values.trigger.data }}
- {{ printf "--data=%s" . | quote }}
{{- end }}
- --launcher=kubeflow
- {{ printf "--kfp-host=%s" $pipelines.host | quote }}
- {{ printf "--kfp-pipeline=%s" $pipelines.pipeline | quote }}
- {{ printf "--kfp-experiment=%s" $pipelines.experiment | quote }}
{{- with $pipelines.namespace }}
- --kfp-namespace={{ . }}
{{- end }}
{{- with $pipelines.serviceAccount }}
- --kfp-service-account={{ . }}
{{- end }}
{{- with $pipelines.ui }}
- {{ printf "--kfp-ui=%s" . | quote }}
{{- end }}
{{- if $pipelines.tokenSecret }}
- --kfp-token-file=/etc/lidloop/pipelines-token/{{ $pipelines.tokenKey }}
{{- end }}
{{- if $pipelines.caConfigMap }}
- --kfp-ca-file=/etc/lidloop/pipelines-ca/ca.crt
{{- end }}
{{- end -}}

{{- /* Parameters of every run, as JSON: as given, and the registry of this release unless another is named. */ -}}
{{- define "lidloop.trigger.parameters" -}}
{{- $parameters := .Values.trigger.parameters -}}
{{- if and .Values.registry.enabled (not $parameters.registry) -}}
{{- $url := include "lidloop.url" (list . "registry" .Values.registry.service.port) -}}
{{- $parameters = merge (dict "registry" $url) $parameters -}}
{{- end -}}
{{- toJson $parameters -}}
{{- end -}}
