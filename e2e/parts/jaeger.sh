# shellcheck shell=bash
# Jaeger v2 (OTLP in, query API out, traces in memory). The module carries no web pages, so there is only the API.

jaeger_home=$cache/jaeger-$JAEGER_VERSION

install_jaeger() {
  [[ -d $jaeger_home ]] && return
  command -v go >/dev/null || die "jaeger is built from its Go module: put Go on PATH"
  cached "jaeger-$JAEGER_VERSION" build_jaeger
}

# The module has replace directives, which 'go install' refuses; built inside a copy of itself, its own go.sum holds.
build_jaeger() {
  local src=$1/src
  mkdir "$1/mod"
  cd "$1/mod"
  go mod init mod
  cp -r "$(go mod download -json "github.com/jaegertracing/jaeger@$JAEGER_VERSION" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')" "$src"
  chmod -R u+w "$src"
  cd "$src"
  CGO_ENABLED=0 nice -n 10 go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$1/jaeger" ./cmd/jaeger
  cd "$1"
  rm -rf src mod
}

start_jaeger() {
  local query query_grpc grpc http health
  free_port query query_grpc grpc http health
  cat >"$dir/jaeger.yaml" <<CONF
service:
  extensions: [jaeger_storage, jaeger_query, healthcheckv2]
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [jaeger_storage_exporter]
  telemetry:
    metrics: {level: none}
    logs: {level: warn}
extensions:
  healthcheckv2: {use_v2: true, http: {endpoint: "127.0.0.1:$health"}}
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: "127.0.0.1:$query"}
    grpc: {endpoint: "127.0.0.1:$query_grpc"}
  jaeger_storage:
    backends:
      memory: {memory: {max_traces: 100000}}
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:$grpc"}
      http: {endpoint: "127.0.0.1:$http"}
exporters:
  jaeger_storage_exporter: {trace_storage: memory}
CONF
  spawn jaeger "$jaeger_home/jaeger" --config "$dir/jaeger.yaml"
  echo "http://127.0.0.1:$health/status" >"$dir/health"
  cat >"$dir/env" <<CONF
JAEGER_OTLP_HTTP=http://127.0.0.1:$http
JAEGER_OTLP_GRPC=127.0.0.1:$grpc
JAEGER_QUERY=http://127.0.0.1:$query
CONF
}

ready_jaeger() {
  curl -fsS -m 5 "$(cat "$dir/health")" && curl -fsS -m 5 "$(value JAEGER_QUERY)/api/services" &&
    listens "$(value JAEGER_OTLP_GRPC | cut -d: -f2)"
}
