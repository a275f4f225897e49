package gateway

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/api"
	"github.com/signalbox-dev/signalbox/gateway/hooks"
	"github.com/signalbox-dev/signalbox/gateway/ingest"
	"github.com/signalbox-dev/signalbox/gateway/invoke"
	"github.com/signalbox-dev/signalbox/gateway/subscribe"
	"github.com/signalbox-dev/signalbox/resource"
)

// route is one row of the table from which both the router and the OpenAPI
// document are made, so that neither can know a route the other does not.
type route struct {
	method string
	// path is as fiber writes it: /a/:name.
	path    string
	handler fiber.Handler
	op      operation
}

// table lists every route. GET serves HEAD too.
func (s *Server) table() []route {
	health := []route{
		{fiber.MethodGet, "/healthz", s.healthz, opHealthz},
		{fiber.MethodGet, "/readyz", s.readyz, opReadyz},
	}
	if s.deps.MetricsHandler != nil {
		health = append(health, route{fiber.MethodGet, "/metrics", adaptor.HTTPHandler(s.deps.MetricsHandler), opMetrics})
	}
	if s.config.HealthOnly {
		return health
	}
	all := []route{
		{fiber.MethodPost, ingest.Route, s.ingest.Post, opPostEvents},
		{fiber.MethodOptions, ingest.Route, s.ingest.Options, opHandshake},
		{fiber.MethodGet, subscribe.Route, s.hub.Get, opSubscribe},
		{fiber.MethodPost, api.Prefix + "/apply", s.api.Apply, opApply},
		{fiber.MethodGet, api.Prefix + "/events", s.api.Events, opEvents},
		{fiber.MethodGet, api.Prefix + "/runs", s.api.Runs, opRuns},
		{fiber.MethodGet, api.Prefix + "/logs", s.api.Lines, opLines},
		{fiber.MethodGet, api.Prefix + "/trace", s.api.Trace, opTrace},
		{fiber.MethodGet, api.Prefix + "/decisions", s.api.Decisions, opDecisions},
		{fiber.MethodGet, api.Prefix + "/deadletters", s.api.DeadLetters, opDeadLetters},
		{fiber.MethodGet, api.Prefix + "/deadletters/:id", s.api.DeadLetter, opDeadLetter},
		{fiber.MethodPost, api.Prefix + "/deadletters/redrive", s.api.DecideAll(event.Redrive), opRedriveAll},
		{fiber.MethodPost, api.Prefix + "/deadletters/drop", s.api.DecideAll(event.Drop), opDropAll},
		{fiber.MethodPost, api.Prefix + "/deadletters/:id/redrive", s.api.Decide(event.Redrive), opRedrive},
		{fiber.MethodPost, api.Prefix + "/deadletters/:id/drop", s.api.Decide(event.Drop), opDrop},
		{fiber.MethodPost, api.Prefix + "/deliveries/:token/complete", s.api.Complete, opComplete},
		{fiber.MethodPost, api.Prefix + "/deliveries/:token/lease", s.api.ExtendLease, opExtendLease},
		{fiber.MethodGet, api.Prefix + "/explain", s.api.Explain, opExplain},
		{fiber.MethodGet, api.Prefix + "/graph", s.api.Graph, opGraph},
		{fiber.MethodGet, api.Prefix + "/types", s.api.Types, opTypes},
		{fiber.MethodGet, api.Prefix + "/types/:name", s.api.Type, opType},
		{fiber.MethodPost, api.Prefix + "/whatif", s.api.WhatIf, opWhatIf},
		{fiber.MethodPost, api.Prefix + "/functions/:name/rollback", s.api.Rollback, opRollback},
		{fiber.MethodGet, api.Prefix + "/artifacts/:digest", s.api.Artifact, opArtifact},
		{fiber.MethodPost, api.Prefix + "/artifacts/:digest", s.api.AddArtifact, opAddArtifact},
		{fiber.MethodPut, api.Prefix + "/artifacts/:digest", s.api.PutArtifactPart, opPutArtifactPart},
		{fiber.MethodGet, "/openapi.json", s.openapi, opOpenAPI},
		{fiber.MethodGet, "/", s.home, opHome},
	}
	all = append(all, health...)
	if s.invoke != nil {
		all = append(all, route{fiber.MethodPost, invoke.AsyncPrefix + ":name", s.invoke.Queue, opQueue}, route{fiber.MethodPost, invoke.AsyncPrefix + ":name/*", s.invoke.Queue, opQueue.below()})
		for _, method := range invoke.Methods() {
			op := opInvoke(method)
			all = append(all, route{method, invoke.Prefix + ":name", s.invoke.Call, op}, route{method, invoke.Prefix + ":name/*", s.invoke.Call, op.below()})
		}
	}
	if s.hooks != nil {
		all = append(all,
			route{fiber.MethodPost, hooks.Route, s.hooks.Post, opWebhook},
			route{fiber.MethodGet, hooks.Route, s.hooks.Get, opWebhookChallenge},
			route{fiber.MethodOptions, hooks.Route, s.webhookOptions, opWebhookHandshake},
			route{fiber.MethodPost, api.Prefix + "/webhooks/:name/preview", s.hooks.Preview, opWebhookPreview},
		)
	}
	for _, k := range resource.Kinds() {
		all = append(all, s.kindRoutes(k)...)
	}
	return all
}

func (s *Server) kindRoutes(k resource.Kind) []route {
	list := api.Prefix + "/" + k.Plural
	one := list + "/:name"
	return []route{
		{fiber.MethodGet, list, s.api.List(k), opList(k)},
		{fiber.MethodPost, list, s.api.Add(k), opAdd(k)},
		{fiber.MethodGet, one, s.api.Get(k), opGet(k)},
		{fiber.MethodPut, one, s.api.Update(k), opUpdate(k)},
		{fiber.MethodPatch, one, s.api.Patch(k), opPatch(k)},
		{fiber.MethodDelete, one, s.api.Delete(k), opDelete(k)},
	}
}

// webhookOptions is the handshake, at routes that more methods lead to.
func (s *Server) webhookOptions(c *fiber.Ctx) error {
	err := s.ingest.Options(c)
	c.Set(fiber.HeaderAllow, "GET, HEAD, OPTIONS, POST")
	return err
}

// fixedPaths are the methods of each path without parameters. The router counts
// those of routes with parameters that would match, too.
func fixedPaths(routes []route) map[string]string {
	methods := map[string][]string{}
	for _, r := range routes {
		if strings.ContainsAny(r.path, ":*") {
			continue
		}
		methods[r.path] = append(methods[r.path], r.method)
		if r.method == fiber.MethodGet {
			methods[r.path] = append(methods[r.path], fiber.MethodHead)
		}
	}
	allow := map[string]string{}
	for path, all := range methods {
		slices.Sort(all)
		allow[path] = strings.Join(all, ", ")
	}
	return allow
}
