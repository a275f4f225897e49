package gateway

import (
	"slices"

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
	if rule.open {
		return o
	}
	o.security = []any{schema{"bearer": []any{}}, schema{"certificate": []any{}}}
	if !s.guard.Required() {
		o.security = append(o.security, schema{})
	}
	kinds := []problem.Kind{problem.Unauthorized, problem.Forbidden}
	if changesPolicies(r.path, rule) {
		o.params = append(slices.Clip(o.params), paramForce)
		kinds = append(kinds, problem.LockedOut)
	}
	if s.guard.Required() {
		kinds = append(kinds, problem.Unavailable)
	}
	o.answers = slices.Clone(o.answers)
	for _, more := range refusals(kinds...) {
		if i := indexOf(o.answers, more.status); i < 0 {
			o.answers = append(o.answers, more)
		} else if o.answers[i].what != more.what && more.status != 503 {
			o.answers[i].what += "; " + more.what
		}
	}
	return o
}

// changesPolicies reports whether a route can lock its caller out.
func changesPolicies(path string, rule rule) bool {
	return path == api.Prefix+"/apply" || rule.kind == resource.KindPolicy && rule.verb != access.Read
}
