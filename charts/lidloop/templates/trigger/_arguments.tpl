{{- /* Arguments of `lidloop trigger`; tests parse them with its own command line. */ -}}
{{- define "lidloop.trigger.arguments" -}}
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
- {{ printf "--kfp-host=%s" .Values.pipelines.host | quote }}
- {{ printf "--kfp-pipeline=%s" .Values.trigger.pipeline | quote }}
- {{ printf "--kfp-experiment=%s" .Values.trigger.experiment | quote }}
{{- with .Values.pipelines.namespace }}
- --kfp-namespace={{ . }}
{{- end }}
{{- with .Values.trigger.runServiceAccount }}
- --kfp-service-account={{ . }}
{{- end }}
{{- with .Values.pipelines.ui }}
- {{ printf "--kfp-ui=%s" . | quote }}
{{- end }}
{{- with include "lidloop.pipelines.tokenFile" . }}
- --kfp-token-file={{ . }}
{{- end }}
{{- with include "lidloop.pipelines.caFile" . }}
- --kfp-ca-file={{ . }}
{{- end }}
{{- end -}}

{{- /* Default parameters of runs, as JSON: trigger.parameters, and this release's registry unless they name another. */ -}}
{{- define "lidloop.trigger.parameters" -}}
{{- $parameters := .Values.trigger.parameters -}}
{{- if and .Values.registry.enabled (not $parameters.registry) -}}
{{- $url := include "lidloop.url" (list . "registry" .Values.registry.service.port) -}}
{{- $parameters = merge (dict "registry" $url) $parameters -}}
{{- end -}}
{{- toJson $parameters -}}
{{- end -}}
