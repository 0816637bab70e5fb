{{- /* Version that the server reports: as given, or the number that the bundle's URI ends in. */ -}}
{{- define "lidloop.serving.version" -}}
{{- .Values.serving.model.version | default (regexFind "[0-9]+$" (trimSuffix "/" .Values.serving.model.uri)) -}}
{{- end -}}

{{- /* The server's container without its name; the same in both modes. */ -}}
{{- define "lidloop.serving.container" -}}
{{- $access := .Values.serving.access -}}
image: {{ include "lidloop.image" (list . .Values.serving.image) }}
imagePullPolicy: {{ .Values.serving.image.pullPolicy }}
command: [lidloop, serve]
env:
  - {name: HOME, value: /tmp}
  - {name: LIDLOOP_MODEL, value: /mnt/models}
  {{- with include "lidloop.serving.version" . }}
  - {name: LIDLOOP_MODEL_VERSION, value: {{ . | quote }}}
  {{- end }}
  - {name: LIDLOOP_HOST, value: 0.0.0.0}
  - {name: LIDLOOP_PORT, value: "8080"}
  - {name: LIDLOOP_METRICS_PORT, value: "9109"}
  - {name: LIDLOOP_GRACE, value: {{ .Values.serving.graceSeconds | quote }}}
  {{- if $access.keysSecret }}
  - {name: LIDLOOP_KEYS, value: /etc/lidloop/keys/{{ $access.keysKey }}}
  {{- end }}
  {{- if $access.jwt.issuer }}
  - {name: LIDLOOP_JWT_ISSUER, value: {{ $access.jwt.issuer | quote }}}
  - {name: LIDLOOP_JWT_AUDIENCE, value: {{ $access.jwt.audience | quote }}}
  - {name: LIDLOOP_JWKS, value: {{ $access.jwt.jwksUrl | default "/etc/lidloop/jwks/jwks.json" | quote }}}
  {{- end }}
  {{- range $name, $value := .Values.serving.settings }}
  - {name: LIDLOOP_{{ upper $name }}, value: {{ include "lidloop.text" $value | quote }}}
  {{- end }}
ports:
  - {name: http, containerPort: 8080, protocol: TCP}
  - {name: metrics, containerPort: 9109, protocol: TCP}
startupProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
lifecycle:
  preStop: {sleep: {seconds: {{ .Values.serving.drainSeconds }}}}
resources:
  {{- toYaml .Values.serving.resources | nindent 2 }}
securityContext:
  {{- include "lidloop.containerSecurity" . | nindent 2 }}
{{- end -}}

{{- /* Mounts of the server's container besides the model. */ -}}
{{- define "lidloop.serving.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .Values.serving.access.keysSecret }}
- {name: keys, mountPath: /etc/lidloop/keys, readOnly: true}
{{- end }}
{{- if .Values.serving.access.jwt.jwksConfigMap }}
- {name: jwks, mountPath: /etc/lidloop/jwks, readOnly: true}
{{- end }}
{{- end -}}

{{- define "lidloop.serving.volumes" -}}
# Memory: nothing of a picture may reach a disk.
- name: tmp
  emptyDir: {medium: Memory, sizeLimit: 64Mi}
{{- with .Values.serving.access.keysSecret }}
- name: keys
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .Values.serving.access.jwt.jwksConfigMap }}
- name: jwks
  configMap: {name: {{ . }}}
{{- end }}
{{- end -}}

{{- define "lidloop.serving.spread" -}}
{{- $root := . -}}
{{- range .Values.serving.spreadOver }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "lidloop.selector" (list $root "serving") | nindent 6 }}
{{- end }}
{{- end -}}

{{- /* What the serving pods hold back from a rolling update. */ -}}
{{- define "lidloop.serving.strategy" -}}
type: RollingUpdate
rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
{{- end -}}

{{- /* Seconds that a pod has to end: draining, what is being worked on, and a margin. */ -}}
{{- define "lidloop.serving.termination" -}}
{{- add .Values.serving.drainSeconds .Values.serving.graceSeconds 10 -}}
{{- end -}}

{{- /* Name of the metric that says how busy a pod is: requests running or waiting. */ -}}
{{- define "lidloop.serving.busy" -}}lidloop_serving_requests_inside{{- end -}}

{{- /* PromQL: requests running or waiting in all pods. */ -}}
{{- define "lidloop.serving.query" -}}
sum({{ include "lidloop.serving.busy" . }}{namespace="{{ .Release.Namespace }}",pod=~"{{ include "lidloop.component" (list . "serving") }}-.+"})
{{- end -}}

{{- /* What the world outside may reach. Metrics and probes stay inside. */ -}}
{{- define "lidloop.serving.paths" -}}
/: Exact
/fhir: Prefix
/openapi.json: Exact
/problems: Prefix
/static: Prefix
/v1: Prefix
/v2: Prefix
{{- end -}}
