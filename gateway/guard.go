package gateway

import (
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/api"
	"github.com/signalbox-dev/signalbox/gateway/ingest"
	"github.com/signalbox-dev/signalbox/gateway/invoke"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/gateway/subscribe"
	"github.com/signalbox-dev/signalbox/resource"
)

// rule is what a route is to the guard. A route that nothing is said about needs
// credentials and is asked about by its method, so that none is open by mistake.
type rule struct {
	// open routes ask for no credentials.
	open bool
	// inside: the handler asks itself, since only it knows the event or resource.
	inside bool
	verb   access.Verb
	kind   string
}

// ruleOf says what the route of a method and path is.
func ruleOf(method, path string) rule {
	switch {
	case method == fiber.MethodOptions && path == ingest.Route, openRoute(path):
		return rule{open: true}
	case path == ingest.Route, strings.HasPrefix(path, invoke.Prefix), strings.HasPrefix(path, invoke.AsyncPrefix):
		return rule{inside: true}
	case path == subscribe.Route:
		return rule{verb: access.Read, kind: "subscribe"}
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(path, api.Prefix), "/")
	segment, below, _ := strings.Cut(rest, "/")
	r := rule{verb: verbOf(method), kind: segment}
	switch segment {
	case "apply":
		return rule{inside: true}
	case "whatif": // asks, though by POST
		r.verb = access.Read
	}
	k, err := resource.LookupKind(segment)
	if err != nil || k.Plural != segment {
		return r
	}
	r.kind = k.Name
	if method == fiber.MethodPost && below == "" {
		r.verb = access.Write
	}
	r.inside = r.verb == access.Write || r.verb == access.Delete
	return r
}

// openRoute lists what is answered to anybody: what says nothing about events
// and resources, and what knows its callers otherwise (the signatures of webhooks).
func openRoute(path string) bool {
	switch path {
	case "/", "/healthz", "/readyz", "/metrics", "/openapi.json":
		return true
	}
	return strings.HasPrefix(path, "/webhooks/")
}

func verbOf(method string) access.Verb {
	switch method {
	case fiber.MethodGet:
		return access.Read
	case fiber.MethodPut, fiber.MethodPatch:
		return access.Write
	case fiber.MethodDelete:
		return access.Delete
	}
	return access.Act
}

// guarded is the route's handler behind the guard.
func (s *Server) guarded(r route) fiber.Handler {
	rule := ruleOf(r.method, r.path)
	if rule.open {
		return r.handler
	}
	identify := s.guard.Identify
	if r.path == ingest.Route {
		identify = s.guard.IdentifyDelivery
	}
	return func(c *fiber.Ctx) error {
		if err := identify(c.Context()); err != nil {
			s.refused(r.path)
			return err
		}
		if rule.inside {
			return r.handler(c)
		}
		return s.allowed(c, r, rule)
	}
}

// allowed asks whether the request may be carried out, and notes it when it is
// one that makes something happen.
func (s *Server) allowed(c *fiber.Ctx, r route, rule rule) error {
	req := &access.Request{
		Identity: access.Of(c.Context()), Route: r.path, Method: r.method, Verb: rule.verb, Kind: rule.kind, Name: nameIn(c, r.path),
	}
	if err := s.guard.Allow(c.Context(), req); err != nil {
		return err
	}
	err := r.handler(c)
	if err == nil && rule.verb == access.Act && rule.kind != access.Deliveries && c.Response().StatusCode() < 400 {
		before, after := api.ChangedBy(c)
		s.guard.DoneSaying(req, before, after, askedFor(c))
	}
	return err
}

// maxAsked bounds what is noted of a request's query, in bytes.
const maxAsked = 500

// askedFor is what a request says beside its path.
func askedFor(c *fiber.Ctx) string {
	query := string(c.Context().QueryArgs().QueryString())
	if len(query) > maxAsked {
		query = strings.ToValidUTF8(query[:maxAsked], "") + "…"
	}
	if query == "" {
		return ""
	}
	return "asked for " + query
}

// nameIn is the first parameter of the path: a name, an id or a token.
func nameIn(c *fiber.Ctx, path string) string {
	m := pathParam.FindStringSubmatch(path)
	if m == nil {
		return ""
	}
	name := c.Params(m[1])
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	return strings.Clone(name)
}

// refused counts a request without valid credentials where events are counted.
func (s *Server) refused(path string) {
	if path == ingest.Route && s.deps.Metrics != nil {
		s.deps.Metrics.Refused(problem.Unauthorized.Slug(), 0)
	}
}
