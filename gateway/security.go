package gateway

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/api"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/resource"
)

// What the OpenAPI document says of credentials.

func securitySchemes() schema {
	return schema{
		"bearer":      schema{"type": "http", "scheme": "bearer", "description": "the token of a key (sbk_…), the root key, or a token of the OpenID issuer"},
		"certificate": schema{"type": "mutualTLS", "description": "a client certificate"},
	}
}

var paramForce = param{name: "force", in: "query", what: "carry the change out even if its author could then not undo it", schema: schema{"type": "boolean"}}

// guardedOperation is the route's operation with what the guard adds: which
// credentials are taken, and how it refuses.
func (s *Server) guardedOperation(r route) operation {
	o, rule := r.op, ruleOf(r.method, r.path)
	o.answers = slices.Clone(o.answers)
	kinds := everywhere(r.method)
	if rule.open {
		return o.refusing(kinds)
	}
	o.security = []any{schema{"bearer": []any{}}, schema{"certificate": []any{}}}
	if !s.guard.Required() {
		o.security = append(o.security, schema{})
	}
	kinds = append(kinds, problem.Unauthorized, problem.Forbidden, problem.TooManyFailures)
	if changesPolicies(r.path, rule) {
		o.params = append(slices.Clip(o.params), paramForce)
		kinds = append(kinds, problem.LockedOut)
	}
	if s.guard.Required() {
		kinds = append(kinds, problem.Unavailable)
	}
	return o.refusing(kinds)
}

// everywhere are the refusals of the server itself, whatever the route.
func everywhere(method string) []problem.Kind {
	all := []problem.Kind{problem.MalformedRequest, problem.RequestTimeout, problem.TooLarge, problem.Misdirected, problem.HeadersTooLarge, problem.TooManyConnections}
	if method != fiber.MethodGet && method != fiber.MethodOptions {
		all = append(all, problem.CrossSite)
	}
	return all
}

// refusing is the operation with more refusals.
func (o operation) refusing(kinds []problem.Kind) operation {
	for _, k := range kinds {
		more := refusals(k)[0]
		i := slices.IndexFunc(o.answers, func(r reply) bool { return r.status == more.status && r.contentType == problem.ContentType })
		switch {
		case i < 0:
			o.answers = append(o.answers, more)
		case !strings.Contains(o.answers[i].what, more.what):
			o.answers[i].what += "; " + more.what
		}
	}
	return o
}

// changesPolicies reports whether a route can lock its caller out.
func changesPolicies(path string, rule rule) bool {
	return path == api.Prefix+"/apply" || rule.kind == resource.KindPolicy && rule.verb != access.Read
}
