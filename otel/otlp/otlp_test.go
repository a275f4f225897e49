package otlp

import (
	"strings"
	"testing"
)

func TestParseEndpoint(t *testing.T) {
	tests := []struct {
		name, in, want string
		grpc, bad      bool
	}{
		{name: "http appends the path", in: "http://127.0.0.1:4318", want: "http://127.0.0.1:4318/v1/traces"},
		{name: "below a base path", in: "https://x.example/otlp/", want: "https://x.example/otlp/v1/traces"},
		{name: "path that is complete", in: "http://x:1/v1/traces", want: "http://x:1/v1/traces"},
		{name: "port of gRPC", in: "http://x:4317", want: "http://x:4317", grpc: true},
		{name: "grpc", in: "grpc://x:9", want: "http://x:9", grpc: true},
		{name: "grpc with TLS", in: "grpcs://x:9", want: "https://x:9", grpc: true},
		{name: "no scheme", in: "127.0.0.1:4318", bad: true},
		{name: "other scheme", in: "ftp://x", bad: true},
		{name: "no host", in: "http://", bad: true},
		{name: "password", in: "http://a:hunter2@x", bad: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e, err := Parse(test.in, "traces")
			if (err != nil) != test.bad || e.URL != test.want || e.GRPC != test.grpc {
				t.Errorf("got %+v, %v", e, err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error shows the password")
			}
		})
	}
}

func TestASignalHasItsPath(t *testing.T) {
	for in, want := range map[string]string{"http://x:4318": "http://x:4318/v1/logs", "http://x/a/v1/traces": "http://x/a/v1/logs", "http://x/v1/logs/": "http://x/v1/logs"} {
		if e, err := Parse(in, "logs"); err != nil || e.URL != want {
			t.Errorf("%s: %+v, %v; want %s", in, e, err, want)
		}
	}
}

func TestTheEnvironmentNamesWhereASignalGoes(t *testing.T) {
	for _, c := range []struct {
		name     string
		env      map[string]string
		on, grpc bool
		bad      bool
	}{
		{name: "nothing"},
		{name: "base", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, on: true},
		{name: "gRPC by port", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4317"}, on: true, grpc: true},
		{name: "gRPC by name", env: map[string]string{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://x:1", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc"}, on: true, grpc: true},
		{name: "another signal's", env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4318"}},
		{name: "off", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_LOGS_EXPORTER": "none"}},
		{name: "all off", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_SDK_DISABLED": "true"}},
		{name: "unknown protocol", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "thrift"}, bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			on, grpc, err := FromEnvironment("logs")
			if on != c.on || grpc != c.grpc || (err != nil) != c.bad {
				t.Errorf("on %v, gRPC %v, %v", on, grpc, err)
			}
		})
	}
}
