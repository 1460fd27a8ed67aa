{{/* Names, labels, and what several templates must agree on. */}}

{{- define "gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "gateway.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "gateway.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "gateway.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "gateway.selector" -}}
app.kubernetes.io/name: {{ include "gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gateway.labels" -}}
{{ include "gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "gateway.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "gateway.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "gateway.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* "true" with a shared store, "" with a SQLite file. */}}
{{- define "gateway.shared" -}}
{{- if or .Values.valkey.url .Values.valkey.existingSecret }}true{{ end }}
{{- end }}

{{/* "true" where the SQLite file has a volume that outlives the pod. */}}
{{- define "gateway.keeps" -}}
{{- if and .Values.persistence.enabled (not (include "gateway.shared" .)) }}true{{ end }}
{{- end }}

{{- define "gateway.claim" -}}
{{- .Values.persistence.existingClaim | default (printf "%s-state" (include "gateway.fullname" .)) }}
{{- end }}

{{/* The configuration as a map, however it was given. */}}
{{- define "gateway.parsed" -}}
{{- if kindIs "string" .Values.config }}
{{- $parsed := fromYaml .Values.config }}
{{- if hasKey $parsed "Error" }}{{ fail (printf "config: is no YAML: %s" $parsed.Error) }}{{ end }}
{{- toYaml $parsed }}
{{- else }}
{{- toYaml .Values.config }}
{{- end }}
{{- end }}

{{/* The configuration's text. The password in a shared store's URL must not stand in a ConfigMap, so it is a variable. */}}
{{- define "gateway.config" -}}
{{- $parsed := include "gateway.parsed" . | fromYaml }}
{{- if not $parsed.auth }}{{ fail "config: needs `auth`, because the pods are called from other machines" }}{{ end }}
{{- $url := dig "state" "url" "" $parsed }}
{{- if not (include "gateway.shared" .) }}
{{- if and $url (not (hasPrefix "sqlite:" (toString $url))) }}
{{- fail "config: names a shared store in state.url; give it as valkey.url, so that the chart knows" }}
{{- end }}
{{- else if ne (default "${VALKEY_URL}" $url) "${VALKEY_URL}" }}
{{- fail "config: state.url must be absent or ${VALKEY_URL}, which is valkey.url" }}
{{- end }}
{{- if kindIs "string" .Values.config }}
{{- if and (include "gateway.shared" .) (not $url) }}
{{- fail "config: is text, so add to it: `state: {url: \"${VALKEY_URL}\"}`, which is valkey.url" }}
{{- end }}
{{- .Values.config }}
{{- else if include "gateway.shared" . }}
{{- toYaml (merge (dict "state" (dict "url" "${VALKEY_URL}")) .Values.config) }}
{{- else }}
{{- toYaml .Values.config }}
{{- end }}
{{- end }}

{{/* Seconds of a duration such as 250ms, 20s, 1.5m; rounded up. */}}
{{- define "gateway.seconds" -}}
{{- $unit := regexFind "[a-z]+$" . }}
{{- $factor := get (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0) $unit }}
{{- mulf (trimSuffix $unit . | float64) $factor | ceil | int }}
{{- end }}

{{/* How long the pod may take to end: until no request comes, until those under way are answered, and to close. */}}
{{- define "gateway.grace" -}}
{{- $drain := dig "server" "drain" "20s" (include "gateway.parsed" . | fromYaml) | toString }}
{{- $drained := 0 }}
{{- if regexMatch "^[0-9.]+(ms|s|m|h|d)$" $drain }}
{{- $drained = include "gateway.seconds" $drain | int }}
{{- else if and (ne $drain "0") (not .Values.terminationGracePeriodSeconds) }}
{{- fail (printf "config: server.drain is %s, so terminationGracePeriodSeconds must be given" $drain) }}
{{- end }}
{{- $least := add .Values.preStopSeconds $drained }}
{{- $grace := .Values.terminationGracePeriodSeconds | default (add $least 15) | int }}
{{- if lt $grace ($least | int) }}
{{- fail (printf "terminationGracePeriodSeconds: must be %d at least, preStopSeconds and the configuration's server.drain" $least) }}
{{- end }}
{{- $grace }}
{{- end }}

{{- define "gateway.keySecret" -}}
{{- .Values.apiKey.existingSecret | default (printf "%s-key" (include "gateway.fullname" .)) }}
{{- end }}

{{/* "true" where the chart makes the key itself. */}}
{{- define "gateway.makesKey" -}}
{{- if and .Values.apiKey.create (not .Values.apiKey.existingSecret) }}true{{ end }}
{{- end }}

{{/* The API key: the one that is there already, else a new one, the same for all templates of one rendering. */}}
{{- define "gateway.key" -}}
{{- if not (hasKey .Values "madeKey") }}
{{- $there := lookup "v1" "Secret" .Release.Namespace (include "gateway.keySecret" .) }}
{{- $key := dig "data" "key" "" $there | b64dec | default (randAlphaNum 40) }}
{{- $_ := set .Values "madeKey" $key }}
{{- end }}
{{- .Values.madeKey }}
{{- end }}

{{/* What changes when the environment does: a process reads it once. The ConfigMap is not in it, it is taken as it is. */}}
{{- define "gateway.environment" -}}
{{- $found := dict "secrets" .Values.secrets "valkey" .Values.valkey.url }}
{{- if include "gateway.makesKey" . }}{{ $_ := set $found "key" (include "gateway.key" .) }}{{ end }}
{{- range $name := list .Values.existingSecret .Values.valkey.existingSecret .Values.apiKey.existingSecret }}
{{- if $name }}
{{- $_ := set $found $name (dig "data" dict (lookup "v1" "Secret" $.Release.Namespace $name)) }}
{{- end }}
{{- end }}
{{- toYaml $found | sha256sum }}
{{- end }}
