{{- /* Version that the server reports: serving.model.version, or the number at the end of the bundle's URI. */ -}}
{{- define "lidloop.serving.version" -}}
{{- .Values.serving.model.version | default (regexFind "[0-9]+$" (trimSuffix "/" .Values.serving.model.uri)) -}}
{{- end -}}

{{- /* The server's container without its name, the same in both modes. */ -}}
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

{{- /* Volume mounts of the server's container, without the model. */ -}}
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
# In memory: nothing of a picture may be written to disk.
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

{{- /* Rolling update that never reduces the number of ready pods. */ -}}
{{- define "lidloop.serving.strategy" -}}
type: RollingUpdate
rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
{{- end -}}

{{- /* Termination grace period in seconds: draining, running requests, and a margin. */ -}}
{{- define "lidloop.serving.termination" -}}
{{- add .Values.serving.drainSeconds .Values.serving.graceSeconds 10 -}}
{{- end -}}

{{- /* Metric of a pod's load: requests running or waiting. */ -}}
{{- define "lidloop.serving.busy" -}}lidloop_serving_requests_inside{{- end -}}

{{- /* PromQL: requests running or waiting in all pods. */ -}}
{{- define "lidloop.serving.query" -}}
sum({{ include "lidloop.serving.busy" . }}{namespace="{{ .Release.Namespace }}",pod=~"{{ include "lidloop.component" (list . "serving") }}-.+"})
{{- end -}}

{{- /* Paths that are published by Ingress and HTTPRoute; metrics and probes are not among them. */ -}}
{{- define "lidloop.serving.paths" -}}
/: Exact
/fhir: Prefix
/openapi.json: Exact
/problems: Prefix
/static: Prefix
/v1: Prefix
/v2: Prefix
{{- end -}}
