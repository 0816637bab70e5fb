{{- /* Environment variables of both the migration and the server. */ -}}
{{- define "lidloop.registry.environment" -}}
- {name: HOME, value: /tmp}
- {name: MLFLOW_DISABLE_TELEMETRY, value: "true"}
- {name: MLFLOW_AUTH_CONFIG_PATH, value: /run/lidloop/auth.ini}
- name: MLFLOW_BACKEND_STORE_URI
  valueFrom: {secretKeyRef: {name: {{ .Values.registry.database.secret }}, key: {{ .Values.registry.database.key }}}}
{{- end -}}

{{- /* Accepted Host headers: all names of the Service, the Ingress' host, and registry.allowedHosts. */ -}}
{{- define "lidloop.registry.hosts" -}}
{{- $name := include "lidloop.component" (list . "registry") -}}
{{- $hosts := list "localhost:*" "127.0.0.1:*" -}}
{{- range list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) -}}
{{- $hosts = concat $hosts (list . (printf "%s:*" .)) -}}
{{- end -}}
{{- with .Values.registry.ingress -}}
{{- if .enabled -}}{{- $hosts = append $hosts .host -}}{{- end -}}
{{- end -}}
{{- join "," (concat $hosts .Values.registry.allowedHosts) -}}
{{- end -}}
