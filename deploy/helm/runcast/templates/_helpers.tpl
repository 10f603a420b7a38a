{{- define "runcast.name" -}}
{{- printf "%s" (ternary .Release.Name (printf "%s-runcast" .Release.Name) (contains "runcast" .Release.Name)) | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "runcast.labels" -}}
app.kubernetes.io/name: runcast
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "runcast.selector" -}}
app.kubernetes.io/name: runcast
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "runcast.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "runcast.account" -}}
{{ .Values.serviceAccount.name | default (ternary (include "runcast.name" .) "default" .Values.serviceAccount.create) }}
{{- end -}}

{{- define "runcast.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "runcast.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* The environment of a service: all settings, its own, and its secret. */ -}}
{{- define "runcast.environment" -}}
envFrom:
  - configMapRef: {name: {{ include "runcast.name" .root }}}
  {{- with .own.existingSecret | default .root.Values.existingSecret }}
  - secretRef: {name: {{ . }}}
  {{- end }}
  {{- if .root.Values.secrets }}
  - secretRef: {name: {{ include "runcast.name" .root }}{{ if eq .name "migrate" }}-migrate{{ end }}}
  {{- end }}
env:
  - {name: RUNCAST_HOST, value: "0.0.0.0"}
  - {name: RUNCAST_PORT, value: "8000"}
  - {name: RUNCAST_DATA, value: /data}
  - {name: RUNCAST_RUNS_DIR, value: /runs}
  - {name: RUNCAST_SHUTDOWN_GRACE_S, value: {{ .root.Values.shutdown.graceSeconds | quote }}}
  {{- if hasKey .own "workers" }}
  - {name: RUNCAST_WORKERS, value: {{ .own.workers | quote }}}
  {{- end }}
  {{- range $name, $value := .own.settings }}
  - {name: RUNCAST_{{ $name }}, value: {{ $value | toString | quote }}}
  {{- end }}
{{- end -}}

{{- define "runcast.spread" -}}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "runcast.selector" $ | nindent 8 }}
  {{- end }}
{{- with .own.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
