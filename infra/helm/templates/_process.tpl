{{/* Labels by which one process' pods are found. Takes root and name. */}}
{{- define "tapewatch.selector" -}}
app.kubernetes.io/name: tapewatch
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "tapewatch.labels" -}}
{{ include "tapewatch.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* The job that the alert rules know such a process by. Takes its command. */}}
{{- define "tapewatch.job" -}}
{{- $first := index . 0 -}}
{{- if eq $first "produce" -}}tapewatch-producer
{{- else if eq $first "run" -}}tapewatch-{{ index . 1 }}
{{- else if eq $first "sink" -}}tapewatch-sink-{{ index . 1 }}
{{- else -}}tapewatch-{{ $first }}
{{- end -}}
{{- end }}

{{- define "tapewatch.image" -}}
{{ .repository }}:{{ .tag }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}

{{/* Nobody, without capabilities. */}}
{{- define "tapewatch.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tapewatch.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Variables of the environment. What is secret is named by its file. Takes root and process. */}}
{{- define "tapewatch.environment" -}}
{{- $values := .root.Values -}}
{{- $gets := .process.gets | default list -}}
{{- $settings := dict "kafka.bootstrap" $values.kafka.bootstrap "log.format" "json" -}}
{{- if has "postgres" $gets }}{{ $_ := set $settings "postgres.url" "@/run/secrets/tapewatch/postgres-url" }}{{ end -}}
{{- if and (has "elasticsearch" $gets) $values.elasticsearch.url -}}
{{- $_ := set $settings "elasticsearch.url" $values.elasticsearch.url -}}
{{- if $values.secrets.elasticsearchApiKey.name }}{{ $_ := set $settings "elasticsearch.api_key_file" "/run/secrets/tapewatch/elasticsearch-api-key" }}{{ end -}}
{{- if $values.secrets.elasticsearchCa.name }}{{ $_ := set $settings "elasticsearch.ca_file" "/run/secrets/tapewatch/elasticsearch-ca" }}{{ end -}}
{{- end -}}
{{- if and (has "notify-key" $gets) $values.secrets.notifyKey.name }}{{ $_ := set $settings "notify.key_file" "/run/secrets/tapewatch/notify-key" }}{{ end -}}
{{- if .process.metrics }}{{ $_ := set $settings "metrics.host" "0.0.0.0" }}{{ $_ := set $settings "metrics.port" (toString $values.metricsPort) }}{{ end -}}
{{- $settings = mergeOverwrite $settings $values.settings (.process.settings | default dict) -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- range $key, $value := $settings }}
- name: TAPEWATCH_{{ $key | upper | replace "." "_" }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "tapewatch.mounts" -}}
- {name: scratch, mountPath: /tmp}
- {name: data, mountPath: /var/lib/tapewatch}
- {name: kernels, mountPath: /var/cache/tapewatch}
{{- if include "tapewatch.secretFiles" . | trim }}
- {name: secrets, mountPath: /run/secrets/tapewatch, readOnly: true}
{{- end }}
{{- if or .process.settingsSecret .root.Values.secrets.settings.name }}
- {name: settings, mountPath: /etc/tapewatch, readOnly: true}
{{- end }}
{{- if .root.Values.secrets.kafkaFiles.name }}
- {name: kafka-files, mountPath: /run/secrets/kafka, readOnly: true}
{{- end }}
{{- end }}

{{/* One secret's key as a file of the projected volume. Takes name, key and path. */}}
{{- define "tapewatch.secretFile" -}}
- secret: {name: {{ .name }}, items: [{key: {{ .key }}, path: {{ .path }}}]}
{{- end }}

{{/* The files that a process gets of secrets; nothing where it gets none. */}}
{{- define "tapewatch.secretFiles" -}}
{{- $secrets := .root.Values.secrets -}}
{{- $gets := .process.gets | default list -}}
{{- if has "postgres" $gets }}
{{ include "tapewatch.secretFile" (dict "name" (.process.postgresSecret | default $secrets.postgresUrl.name) "key" $secrets.postgresUrl.key "path" "postgres-url") }}
{{- end }}
{{- if and (has "elasticsearch" $gets) $secrets.elasticsearchApiKey.name }}
{{ include "tapewatch.secretFile" (merge (dict "path" "elasticsearch-api-key") $secrets.elasticsearchApiKey) }}
{{- end }}
{{- if and (has "elasticsearch" $gets) $secrets.elasticsearchCa.name }}
{{ include "tapewatch.secretFile" (merge (dict "path" "elasticsearch-ca") $secrets.elasticsearchCa) }}
{{- end }}
{{- if and (has "notify-key" $gets) $secrets.notifyKey.name }}
{{ include "tapewatch.secretFile" (merge (dict "path" "notify-key") $secrets.notifyKey) }}
{{- end }}
{{- range $path, $secret := .process.secretFiles }}
{{ include "tapewatch.secretFile" (merge (dict "path" $path) $secret) }}
{{- end }}
{{- end }}

{{- define "tapewatch.volumes" -}}
{{- $values := .root.Values -}}
- name: scratch
  emptyDir: {sizeLimit: 256Mi}
- name: data
  {{- if .process.data }}
  persistentVolumeClaim: {claimName: {{ $values.data.existingClaim | default (printf "%s-data" .root.Release.Name) }}}
  {{- else }}
  emptyDir: {sizeLimit: 1Gi}
  {{- end }}
- name: kernels
  emptyDir: {sizeLimit: 512Mi}
{{- with include "tapewatch.secretFiles" . | trim }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- $settings := .process.settingsSecret | default $values.secrets.settings.name }}
{{- if $settings }}
- name: settings
  secret: {secretName: {{ $settings }}, defaultMode: 0440, items: [{key: {{ $values.secrets.settings.key }}, path: tapewatch.toml}]}
{{- end }}
{{- if $values.secrets.kafkaFiles.name }}
- name: kafka-files
  secret: {secretName: {{ $values.secrets.kafkaFiles.name }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{/* What every pod of ours has: a process, a job's step. Takes root, name and process. */}}
{{- define "tapewatch.pod" -}}
serviceAccountName: {{ .serviceAccount | default .root.Release.Name }}
automountServiceAccountToken: false
# Kubernetes would set TAPEWATCH_..._SERVICE_HOST for services of our name, and unknown TAPEWATCH_ variables are refused.
enableServiceLinks: false
terminationGracePeriodSeconds: 60
securityContext:
  {{- include "tapewatch.podSecurity" . | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .process.priorityClassName | default .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .process.nodeSelector | default .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .process.tolerations | default .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if gt (int (.process.replicas | default 1)) 1 }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "tapewatch.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- $image := ternary .root.Values.trainingImage .root.Values.image (eq (.process.image | default "") "training") }}
{{- with .process.kernels }}
# The image's compiled kernels into the folder that may be written; on another kind of CPU they are compiled anew, before
# anybody asks whether the process is alive.
initContainers:
  - name: kernels
    image: {{ include "tapewatch.image" $image }}
    imagePullPolicy: {{ $image.pullPolicy }}
    command: [sh, -c, "cp -r /var/cache/tapewatch/. /warmed/tapewatch/ && exec python -m {{ . }}"]
    env:
      - {name: XDG_CACHE_HOME, value: /warmed}
    securityContext:
      {{- include "tapewatch.containerSecurity" $ | nindent 6 }}
    resources:
      {{- toYaml $.process.resources | nindent 6 }}
    volumeMounts:
      - {name: scratch, mountPath: /tmp}
      - {name: kernels, mountPath: /warmed/tapewatch}
{{- end }}
containers:
  - name: {{ .name }}
    image: {{ include "tapewatch.image" $image }}
    imagePullPolicy: {{ $image.pullPolicy }}
    args:
      {{- toYaml .process.command | nindent 6 }}
    env:
      {{- include "tapewatch.environment" . | nindent 6 }}
    {{- if .process.metrics }}
    ports:
      - {name: metrics, containerPort: {{ .root.Values.metricsPort }}}
      {{- with .process.port }}
      - {name: http, containerPort: {{ . }}}
      {{- end }}
    startupProbe:
      httpGet: {path: /livez, port: metrics}
      periodSeconds: 5
      failureThreshold: 60
    livenessProbe:
      httpGet: {path: /livez, port: metrics}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 3
    readinessProbe:
      httpGet: {path: /readyz, port: metrics}
      periodSeconds: 5
      timeoutSeconds: 5
      failureThreshold: 2
    {{- end }}
    resources:
      {{- toYaml .process.resources | nindent 6 }}
    securityContext:
      {{- include "tapewatch.containerSecurity" . | nindent 6 }}
    volumeMounts:
      {{- include "tapewatch.mounts" . | nindent 6 }}
volumes:
  {{- include "tapewatch.volumes" . | nindent 2 }}
{{- end }}
