package tracing

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// redacted stands for what may be secret.
const redacted = "REDACTED"

// Server is the SERVER span "<method> <route>" of a request, below the context
// it brought (see Extract). route is the pattern, such as "/webhooks/:name";
// the path itself is not known here: Set("url.path", …) adds it.
func (p *Provider) Server(in Context, method, route string) Span {
	s, sampled := p.begin(in)
	if !sampled {
		return s
	}
	attrs := requestMethod(make([]attribute.KeyValue, 0, 4), method)
	name := method
	if attrs[0].Value.AsString() != method {
		name = "HTTP"
	}
	return p.record(s, start{
		parent: in, remote: true, kind: trace.SpanKindServer, name: name + " " + route,
		attrs: append(attrs, semconv.HTTPRoute(route), semconv.URLScheme("http")),
	})
}

// Attempt is the CLIENT span "POST" of the n-th call (from 1) for one delivery.
// The URL is recorded without user, password and the values of its query.
func (p *Provider) Attempt(parent Span, n int, target string) Span {
	s, sampled := p.begin(parent.ctx)
	if !sampled {
		return s
	}
	attrs := append(make([]attribute.KeyValue, 0, 8), semconv.HTTPRequestMethodPost)
	if n > 1 {
		attrs = append(attrs, semconv.HTTPRequestResendCount(n-1))
	}
	return p.record(s, start{
		parent: parent.ctx, kind: trace.SpanKindClient, name: "POST",
		attrs: address(attrs, target),
	})
}

// address appends server.address, server.port and url.full.
func address(attrs []attribute.KeyValue, target string) []attribute.KeyValue {
	u, err := url.Parse(target)
	if err != nil {
		return attrs
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	attrs = append(attrs, semconv.ServerAddress(u.Hostname()), semconv.URLFull(redact(u)))
	if n, err := strconv.Atoi(port); err == nil {
		attrs = append(attrs, semconv.ServerPort(n))
	}
	return attrs
}

// redact is the URL without what may be secret: user, password, fragment and
// the values of the query, whose names stay.
func redact(u *url.URL) string {
	r := *u
	r.Fragment, r.RawFragment = "", ""
	if r.User != nil {
		r.User = url.UserPassword(redacted, redacted)
	}
	if r.RawQuery != "" {
		parts := strings.Split(r.RawQuery, "&")
		for i, part := range parts {
			name, _, _ := strings.Cut(part, "=")
			parts[i] = name + "=" + redacted
		}
		r.RawQuery = strings.Join(parts, "&")
	}
	return r.String()
}

// requestMethod appends the method: one of those that exist, or _OTHER, so
// that strangers cannot make up values.
func requestMethod(attrs []attribute.KeyValue, method string) []attribute.KeyValue {
	known := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
	if slices.Contains(known, method) {
		return append(attrs, semconv.HTTPRequestMethodKey.String(method))
	}
	return append(attrs, semconv.HTTPRequestMethodOther)
}
