// Package otlp says where telemetry goes over OTLP, for every signal alike: the
// address that an option gives, or the OpenTelemetry environment variables.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// grpcPort is the port registered for OTLP over gRPC.
const grpcPort = "4317"

// Endpoint is where one signal is sent.
type Endpoint struct {
	GRPC bool
	// URL has the scheme http or https, which says whether there is TLS.
	URL string
}

// Parse reads the base URL of a collector for a signal: traces, logs or metrics.
// http and https speak OTLP over HTTP (port 4317: over gRPC), grpc and grpcs OTLP
// over gRPC without and with TLS. Its errors do not repeat the URL, which may hold
// a password.
func Parse(raw, signal string) (Endpoint, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return Endpoint{}, errors.New("want an absolute URL such as http://127.0.0.1:4318")
	}
	if u.User != nil {
		return Endpoint{}, errors.New("has a user name or password: want OTEL_EXPORTER_OTLP_HEADERS for credentials")
	}
	var e Endpoint
	switch u.Scheme {
	case "grpc", "grpcs":
		e.GRPC = true
		u.Scheme = map[string]string{"grpc": "http", "grpcs": "https"}[u.Scheme]
	case "http", "https":
		e.GRPC = u.Port() == grpcPort
	default:
		return Endpoint{}, fmt.Errorf("scheme %q: want http, https, grpc or grpcs", u.Scheme)
	}
	if !e.GRPC {
		u.Path = path(u.Path, signal)
	}
	e.URL = u.String()
	return e, nil
}

// path is that of a signal below a base path; one that ends as that of any
// signal is taken for the base's with it.
func path(base, signal string) string {
	base = strings.TrimSuffix(base, "/")
	for _, s := range []string{"traces", "logs", "metrics"} {
		base = strings.TrimSuffix(base, "/v1/"+s)
	}
	return base + "/v1/" + signal
}

// FromEnvironment follows the OpenTelemetry environment variables; the exporters
// read endpoint, headers, certificates and time-outs themselves. on is false when
// they name no endpoint, or switch the signal off.
func FromEnvironment(signal string) (on, grpc bool, err error) {
	name := strings.ToUpper(signal)
	target := first("OTEL_EXPORTER_OTLP_"+name+"_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	if target == "" || Disabled(signal) {
		return false, false, nil
	}
	protocol := first("OTEL_EXPORTER_OTLP_"+name+"_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	if u, err := url.Parse(target); protocol == "" && err == nil && u.Port() == grpcPort {
		protocol = "grpc"
	}
	switch protocol {
	case "grpc":
		return true, true, nil
	case "", "http/protobuf", "http/json":
		return true, false, nil
	}
	return false, false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL %q: want grpc, http/protobuf or http/json", protocol)
}

// Disabled reports whether the variables switch a signal off.
func Disabled(signal string) bool {
	return strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_"+strings.ToUpper(signal)+"_EXPORTER") == "none"
}

func first(names ...string) string {
	for _, n := range names {
		if v := os.Getenv(n); v != "" {
			return v
		}
	}
	return ""
}

// Resource is what every signal says of this process; OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES have the last word.
func Resource(ctx context.Context, version, instance string) (*resource.Resource, error) {
	attributes := []attribute.KeyValue{semconv.ServiceName("signalbox"), semconv.ServiceVersion(version)}
	if instance != "" {
		attributes = append(attributes, semconv.ServiceInstanceID(instance))
	}
	return resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(attributes...), resource.WithFromEnv())
}
