{{- /* File of the bearer token for Kubeflow Pipelines; empty for none, and for the ServiceAccount's own, which the client
finds by itself. */ -}}
{{- define "lidloop.pipelines.tokenFile" -}}
{{- if .Values.pipelines.tokenSecret -}}
/etc/lidloop/pipelines-token/{{ .Values.pipelines.tokenKey }}
{{- end -}}
{{- end -}}

{{- /* File of the private CA of Kubeflow Pipelines; empty for public CAs. */ -}}
{{- define "lidloop.pipelines.caFile" -}}
{{- if .Values.pipelines.caConfigMap -}}/etc/lidloop/pipelines-ca/ca.crt{{- end -}}
{{- end -}}

{{- define "lidloop.pipelines.mounts" -}}
{{- if .Values.pipelines.serviceAccountToken }}
- {name: pipelines-token, mountPath: /var/run/secrets/kubeflow/pipelines, readOnly: true}
{{- else if .Values.pipelines.tokenSecret }}
- {name: pipelines-token, mountPath: /etc/lidloop/pipelines-token, readOnly: true}
{{- end }}
{{- if .Values.pipelines.caConfigMap }}
- {name: pipelines-ca, mountPath: /etc/lidloop/pipelines-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "lidloop.pipelines.volumes" -}}
{{- if .Values.pipelines.serviceAccountToken }}
- name: pipelines-token
  projected:
    sources:
      - serviceAccountToken: {audience: pipelines.kubeflow.org, expirationSeconds: 7200, path: token}
{{- else if .Values.pipelines.tokenSecret }}
- name: pipelines-token
  secret: {secretName: {{ .Values.pipelines.tokenSecret }}, defaultMode: 0440}
{{- end }}
{{- with .Values.pipelines.caConfigMap }}
- name: pipelines-ca
  configMap: {name: {{ . }}}
{{- end }}
{{- end -}}

{{- /* RoleBinding of a component's ServiceAccount to the Role of the same name in the profile. Call with (list . "trigger"). */ -}}
{{- define "lidloop.pipelines.roleBinding" -}}
{{- $root := first . -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "lidloop.metadataIn" (append . $root.Values.pipelines.namespace) | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ include "lidloop.component" . }}
subjects:
  - kind: ServiceAccount
    name: {{ include "lidloop.component" . }}
    namespace: {{ $root.Release.Namespace }}
{{- end -}}
