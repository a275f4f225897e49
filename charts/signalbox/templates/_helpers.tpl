{{- define "signalbox.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "signalbox.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "signalbox.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "signalbox.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select: they must never change. */}}
{{- define "signalbox.selectorLabels" -}}
app.kubernetes.io/name: {{ include "signalbox.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "signalbox.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "signalbox.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "signalbox.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "signalbox.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "signalbox.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The workloads there are, separated by blanks. */}}
{{- define "signalbox.workloads" -}}
{{- ternary "gateway dispatcher" "both" .Values.split -}}
{{- end -}}

{{/* The name of a workload's objects: list of root context and workload. */}}
{{- define "signalbox.workloadName" -}}
{{- $root := index . 0 -}}
{{- $workload := index . 1 -}}
{{- if eq $workload "both" -}}
{{- include "signalbox.fullname" $root -}}
{{- else -}}
{{- printf "%s-%s" (include "signalbox.fullname" $root) $workload -}}
{{- end -}}
{{- end -}}

{{/* What the schema cannot say. */}}
{{- define "signalbox.check" -}}
{{- $needed := add .Values.preStopSeconds .Values.drainTimeoutSeconds 35 -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (int $needed) -}}
{{- fail (printf "terminationGracePeriodSeconds %d: want at least %d (preStopSeconds + drainTimeoutSeconds + 35), or a stop is cut off" (int .Values.terminationGracePeriodSeconds) $needed) -}}
{{- end -}}
{{- range splitList " " (include "signalbox.workloads" .) -}}
{{- if ne . "gateway" -}}
{{- $w := index $.Values.workloads . -}}
{{- $most := ternary $w.autoscaling.maxReplicas $w.replicas $w.autoscaling.enabled -}}
{{- if ge (int $most) (int $.Values.kafka.partitions) -}}
{{- fail (printf "workloads.%s: %d pods and %d partitions: want more partitions than pods (one pod more runs during an update), since a pod without a partition is not ready" . (int $most) (int $.Values.kafka.partitions)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range splitList " " (include "signalbox.workloads" .) -}}
{{- $a := (index $.Values.workloads .).autoscaling -}}
{{- if and $a.enabled (gt (int $a.minReplicas) (int $a.maxReplicas)) -}}
{{- fail (printf "workloads.%s.autoscaling: minReplicas %d is more than maxReplicas %d" . (int $a.minReplicas) (int $a.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- $kafka := .Values.kafka.tls -}}
{{- if and $kafka.enabled (or $kafka.caKey $kafka.certKey) (not $kafka.existingSecret) -}}
{{- fail "kafka.tls.existingSecret: missing: want the Secret that holds the files" -}}
{{- end -}}
{{- if and (or .Values.redis.tls.caKey .Values.redis.tls.certKey) (not .Values.redis.tls.existingSecret) -}}
{{- fail "redis.tls.existingSecret: missing: want the Secret that holds the files" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.from) -}}
{{- fail "networkPolicy.from: empty: Kubernetes would let everybody in; want at least one peer" -}}
{{- end -}}
{{- if and .Values.kafka.sasl.mechanism (not .Values.kafka.sasl.existingSecret) -}}
{{- fail "kafka.sasl.existingSecret: missing: want the Secret that holds the password" -}}
{{- end -}}
{{- end -}}
