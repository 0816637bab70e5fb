{{- define "lidloop.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* Name of a component's objects. Call with (list . "serving"). */ -}}
{{- define "lidloop.component" -}}
{{- printf "%s-%s" (include "lidloop.fullname" (first .)) (last .) -}}
{{- end -}}

{{- /* Labels that select a component's pods. A Deployment's selector is immutable, so never change them. Call with (list . "serving"). */ -}}
{{- define "lidloop.selector" -}}
app.kubernetes.io/name: {{ (first .).Chart.Name }}
app.kubernetes.io/instance: {{ (first .).Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end -}}

{{- /* Labels of a component's objects. Call with (list . "serving"). */ -}}
{{- define "lidloop.labels" -}}
{{- $root := first . -}}
{{ include "lidloop.selector" . }}
app.kubernetes.io/part-of: lidloop
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Metadata of an object of a component. Call with (list . "serving"). */ -}}
{{- define "lidloop.metadata" -}}
name: {{ include "lidloop.component" . }}
namespace: {{ (first .).Release.Namespace }}
labels:
  {{- include "lidloop.labels" . | nindent 2 }}
{{- end -}}

{{- /* Reference of an image. Call with (list . .Values.serving.image). */ -}}
{{- define "lidloop.image" -}}
{{- $image := last . -}}
{{- with $image.registry }}{{ . }}/{{ end -}}
{{- $image.repository }}:{{ $image.tag | default (first .).Chart.AppVersion -}}
{{- with $image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "lidloop.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "lidloop.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- /* A number as written in YAML: Helm stores 10000000 as the float 1e+07, which programs do not parse as an integer. */ -}}
{{- define "lidloop.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ printf "%.0f" . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{- /* Scheduling of pods: node selector, tolerations, affinity, priority. Call with .Values.serving. */ -}}
{{- define "lidloop.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- /* Credentials of the object store as environment variables, by the names that all S3 clients read. */ -}}
{{- define "lidloop.objectStore.credentials" -}}
{{- with .Values.objectStore.secret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ . }}, key: AWS_ACCESS_KEY_ID}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: AWS_SECRET_ACCESS_KEY}}
- name: AWS_SESSION_TOKEN
  valueFrom: {secretKeyRef: {name: {{ . }}, key: AWS_SESSION_TOKEN, optional: true}}
{{- end }}
{{- end -}}

{{- /* A rule of a NetworkPolicy. Call with (dict "peers" … "direction" "to" "ports" (list 443)). */ -}}
{{- define "lidloop.rule" -}}
- {{ .direction }}:
    {{- toYaml .peers | nindent 4 }}
  ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end -}}

{{- define "lidloop.dnsRule" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}

{{- /* An Ingress. Call with (dict "component" (list . "serving") "ingress" … "paths" …), paths as a dict from path
to type (Exact or Prefix). */ -}}
{{- define "lidloop.ingress" -}}
{{- $component := .component -}}
{{- $ingress := .ingress -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "lidloop.metadata" $component | nindent 2 }}
  {{- with $ingress.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  tls:
    - hosts: [{{ $ingress.host }}]
      secretName: {{ $ingress.tlsSecret }}
  rules:
    - host: {{ $ingress.host }}
      http:
        paths:
          {{- range $path, $type := .paths }}
          - path: {{ $path }}
            pathType: {{ $type }}
            backend:
              service:
                name: {{ include "lidloop.component" $component }}
                port: {name: http}
          {{- end }}
{{- end -}}

{{- /* Endpoint, region and CA of the object store, as environment variables of `lidloop store` and MLflow. */ -}}
{{- define "lidloop.objectStore.settings" -}}
{{- with .Values.objectStore.endpoint }}
- {name: AWS_ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
- {name: AWS_DEFAULT_REGION, value: {{ .Values.objectStore.region | quote }}}
{{- if .Values.objectStore.caConfigMap }}
- {name: AWS_CA_BUNDLE, value: /etc/lidloop/ca/ca.crt}
{{- end }}
{{- end -}}

{{- /* A ClusterIP Service. Call with (list . "registry" port). */ -}}
{{- define "lidloop.service" -}}
{{- $component := list (index . 0) (index . 1) -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "lidloop.metadata" $component | nindent 2 }}
spec:
  type: ClusterIP
  selector:
    {{- include "lidloop.selector" $component | nindent 4 }}
  ports:
    - {name: http, port: {{ last . }}, targetPort: http, protocol: TCP, appProtocol: http}
{{- end -}}

{{- /* A ServiceAccount whose token is not mounted. Call with (list . "registry" annotations). */ -}}
{{- define "lidloop.serviceAccount" -}}
{{- $component := list (index . 0) (index . 1) -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "lidloop.metadata" $component | nindent 2 }}
  {{- with last . }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}

{{- /* URL of a component's Service inside the cluster. Call with (list . "registry" port). */ -}}
{{- define "lidloop.url" -}}
{{- $root := first . -}}
{{- $port := int (last .) -}}
http://{{ include "lidloop.component" (list $root (index . 1)) }}.{{ $root.Release.Namespace }}.svc{{ if ne $port 80 }}:{{ $port }}{{ end }}
{{- end -}}

{{- /* A component's pods as the peers of a NetworkPolicy. Call with (list . "registry"). */ -}}
{{- define "lidloop.peer" -}}
- podSelector:
    matchLabels:
      {{- include "lidloop.selector" . | nindent 6 }}
{{- end -}}

{{- /* Metadata of an object in another namespace. Call with (list . "trigger" namespace). */ -}}
{{- define "lidloop.metadataIn" -}}
{{- $component := list (index . 0) (index . 1) -}}
name: {{ include "lidloop.component" $component }}
namespace: {{ last . }}
labels:
  {{- include "lidloop.labels" $component | nindent 2 }}
{{- end -}}

{{- /* A ServiceMonitor of a component's Service. Call with (list . "exporter"). */ -}}
{{- define "lidloop.serviceMonitor" -}}
{{- $root := first . -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "lidloop.metadata" . | nindent 2 }}
    {{- with $root.Values.monitoring.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- include "lidloop.selector" . | nindent 6 }}
  endpoints:
    - port: {{ ternary "metrics" "http" (eq (index . 1) "serving") }}
      {{- include "lidloop.scrape" $root | nindent 6 }}
{{- end -}}

{{- /* Path and interval of a scrape. */ -}}
{{- define "lidloop.scrape" -}}
path: /metrics
interval: {{ .Values.monitoring.interval }}
{{- end -}}
