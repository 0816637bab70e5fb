{{- /* Arguments of `lidloop exporter`; tests parse them with its own command line. */ -}}
{{- define "lidloop.exporter.arguments" -}}
{{- $exporter := .Values.exporter -}}
- --host=0.0.0.0
- --port=9108
- {{ $exporter.registry.uri | default (include "lidloop.url" (list . "registry" .Values.registry.service.port)) | printf "--registry=%s" | quote }}
{{- if $exporter.pipelines }}
- {{ printf "--runs=kubeflow:%s" .Values.pipelines.host | quote }}
{{- end }}
{{- range $exporter.runs }}
- {{ printf "--runs=%s" . | quote }}
{{- end }}
{{- end -}}
