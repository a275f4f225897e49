package gateway

import (
	"strconv"

	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/resource"
)

// operation is what the OpenAPI document says of a route.
type operation struct {
	tag     string
	id      string
	summary string
	params  []param
	body    []media
	// bodyOptional: a request without one is fine.
	bodyOptional bool
	answers      []reply
	// security says which credentials are taken; nil is an operation for anybody.
	security []any
}

// param is a query parameter or header; its schema is a string unless said.
type param struct {
	name, in, what string
	schema         schema
	required       bool
}

// media is a body of one media type.
type media struct {
	contentType string
	schema      schema
	example     any
}

// reply is one status with its body (none: contentType "").
type reply struct {
	status int
	what   string
	media
}

// ok is an answer with a JSON body of a component.
func ok(status int, what, component string) reply {
	return reply{status, what, media{contentType: "application/json", schema: ref(component)}}
}

// refusals are answers with a problem document, one for each status.
func refusals(kinds ...problem.Kind) []reply {
	var all []reply
	for _, k := range kinds {
		i := indexOf(all, k.Status())
		if i < 0 {
			all = append(all, reply{k.Status(), k.Title(), media{contentType: problem.ContentType, schema: ref("Problem")}})
			continue
		}
		all[i].what += "; " + k.Title()
	}
	return all
}

func indexOf(all []reply, status int) int {
	for i := range all {
		if all[i].status == status {
			return i
		}
	}
	return -1
}

func replies(first []reply, rest ...problem.Kind) []reply { return append(first, refusals(rest...)...) }

func query(name, what string) param { return param{name: name, in: "query", what: what} }

func header(name, what string) param { return param{name: name, in: "header", what: what} }

var exampleEvent = map[string]any{
	"specversion": "1.0", "id": "A234-1234-1234", "source": "/shop/orders", "type": "com.example.ordered",
	"datacontenttype": "application/json", "data": map[string]any{"order": 17},
}

// The parameters that several routes share.
var (
	paramIdentity = []param{
		query("source", "the event's source"), query("id", "the event's id"),
		query("type", "the event's type, or a prefix ending in *"),
	}
	paramPage = []param{
		query("since", "from this RFC 3339 time on, or this long ago (such as 10m)"),
		query("until", "before this RFC 3339 time, or this long ago"),
		{name: "limit", in: "query", what: "items of a page at most", schema: schema{"type": "integer", "minimum": 1}},
		query("cursor", "next of the page before"),
	}
	paramDelivery = []param{
		query("function", "the function's name"), query("link", "the link's name"),
		query("reason", "a part of the reason"),
	}
)

// paramCall select calls of functions.
var paramCall = []param{query("version", "the function's version"), query("run", "the run's id"), query("trace", "the trace's id, 32 hexadecimal digits")}

func params(lists ...[]param) []param {
	var all []param
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// The operations of the fixed routes.
var (
	opPostEvents = operation{
		tag: "events", id: "postEvents",
		summary: "Emit events: binary (attributes in ce- headers, data in the body), structured or batched. 202 only once the log has them durably; a batch is accepted whole or refused whole.",
		body: []media{
			{"application/cloudevents+json", ref("Event"), exampleEvent},
			{"application/cloudevents-batch+json", schema{"type": "array", "items": ref("Event")}, []any{exampleEvent}},
			{"*/*", schema{}, nil},
		},
		answers: replies([]reply{ok(202, "Durable in the log", "Accepted")},
			problem.NotEvent, problem.InvalidEvent, problem.InvalidBatch, problem.MalformedRequest, problem.Denied, problem.RequestTimeout, problem.RateLimited, problem.Schema,
			problem.TooLarge, problem.BatchTooLong, problem.UnsupportedFormat, problem.UnsupportedEncoding,
			problem.Backlog, problem.HeadersTooLarge, problem.Unavailable),
	}
	opHandshake = operation{
		tag: "events", id: "webhookHandshake",
		summary: "The CloudEvents webhook handshake: consent is in WebHook-Allowed-Origin and WebHook-Allowed-Rate. WebHook-Request-Callback is never called.",
		params: []param{
			header("WebHook-Request-Origin", "the sender's DNS name"),
			header("WebHook-Request-Rate", "requests a minute it would like to send"),
		},
		answers: replies([]reply{{status: 200, what: "Allow, and consent if there is any"}}, problem.MalformedRequest),
	}
	opSubscribe = operation{
		tag: "events", id: "subscribe",
		summary: "The live stream as Server-Sent Events, or as a WebSocket on upgrade. Each message is an event in the CloudEvents JSON format with position and logtime, a run record, or a line of a function. A subscriber that is too slow is cut off.",
		params: params([]param{
			{name: "stream", in: "query", what: "events (default), runs or logs", schema: schema{"type": "string", "enum": []any{"events", "runs", "logs"}}},
			query("filter", "a CESQL expression over the event"),
			query("function", "with stream=runs or logs: the function's name"), query("version", "with stream=runs or logs: the function's version"),
			query("run", "with stream=runs or logs: the run's id"), query("trace", "with stream=runs or logs: the trace's id"), query("link", "with stream=runs: the link's name"),
			query("since", "begin with what is that old: an RFC 3339 time, or how long ago (such as 10m)"),
			header("Last-Event-ID", "position of the last event seen; the stream goes on from there"),
		}, paramIdentity),
		answers: replies([]reply{
			{101, "WebSocket", media{}},
			{200, "The stream", media{contentType: "text/event-stream", schema: schema{"type": "string"}}},
		}, problem.InvalidQuery, problem.MalformedRequest, problem.Forbidden, problem.TooManySubscribers, problem.Unavailable),
	}
	opApply = operation{
		tag: "resources", id: "apply",
		summary: "Write every resource of a manifest of one or several documents, or none of them.",
		params: []param{
			query("file", "what faults call the manifest"),
			{name: "dryRun", in: "query", what: "only check", schema: schema{"type": "boolean"}},
		},
		body: []media{{"application/yaml", schema{"type": "string"}, nil}, {"application/json", ref("Object"), nil}},
		answers: replies([]reply{ok(200, "The resources as they now stand, with warnings; of a dry run also what the change reaches", "Applied")},
			problem.InvalidResource, problem.InvalidQuery, problem.Conflict, problem.TooLarge, problem.UnsupportedMediaType, problem.Unavailable),
	}
	opEvents = operation{
		tag: "history", id: "listEvents", summary: "Events of the log, oldest first.",
		params:  params(paramIdentity, paramPage),
		answers: replies([]reply{ok(200, "A page", "LoggedEventList")}, problem.InvalidQuery, problem.Unavailable),
	}
	opRuns = operation{
		tag: "history", id: "listRuns", summary: "Run records: one for each delivery and each attempt that is repeated, oldest first.",
		params: params(paramIdentity, paramDelivery, paramCall, []param{
			{name: "outcome", in: "query", what: "how it ended", schema: schema{"type": "string", "enum": []any{"delivered", "dead", "dropped", "retrying", "waiting"}}},
		}, paramPage),
		answers: replies([]reply{ok(200, "A page", "RunList")}, problem.InvalidQuery, problem.Unavailable),
	}
	opLines = operation{
		tag: "history", id: "listLogs", summary: "Lines that functions printed, oldest first; without since the newest ones.",
		params:  params([]param{query("function", "the function's name")}, paramCall, paramPage),
		answers: replies([]reply{ok(200, "A page", "LineList")}, problem.InvalidQuery, problem.Unavailable),
	}
	opTrace = operation{
		tag: "history", id: "trace", summary: "The whole chain that an event, a run or a trace belongs to, as a tree: events, the runs of each, and what those answered with.",
		params: []param{
			{name: "id", in: "query", what: "an event's id, a run's id, or a trace's id", required: true},
			query("source", "the event's source; needed when several sources use the id"),
			{name: "logs", in: "query", what: "with the lines that each run printed", schema: schema{"type": "boolean"}},
		},
		answers: replies([]reply{ok(200, "The chain", "Trace")}, problem.InvalidQuery, problem.NotFound, problem.AmbiguousEvent, problem.Unavailable),
	}
	opDecisions = operation{
		tag: "history", id: "listDecisions", summary: "The decision log, oldest first: what was refused or changed, what policies in shadow mode would have done, and by which revision events are chosen for.",
		params: params([]param{
			{name: "kind", in: "query", what: "what was decided", schema: schema{"type": "string", "enum": []any{"admission", "management", "shadow", "schema", "choosing"}}},
		}, paramIdentity, paramPage),
		answers: replies([]reply{ok(200, "A page", "DecisionList")}, problem.InvalidQuery, problem.Unavailable),
	}
	opExplain = operation{
		tag: "history", id: "explain", summary: "What became of an event: for every link whether it matched and why, and its deliveries.",
		params: []param{
			query("source", "the event's source; needed when several sources use the id"),
			{name: "id", in: "query", what: "the event's id", required: true},
		},
		answers: replies([]reply{ok(200, "The explanation", "Explanation")}, problem.InvalidQuery, problem.NotFound, problem.AmbiguousEvent, problem.Unavailable),
	}
	opRollback = operation{
		tag: "resources", id: "rollbackFunction",
		summary:      "Bring an earlier version of a Function into force again, with all the traffic: the version that the body names, else the one before.",
		body:         []media{{"application/json", schema{"type": "object", "additionalProperties": false, "properties": map[string]any{"version": schema{"type": "string"}}}, map[string]any{"version": "v1"}}},
		bodyOptional: true,
		answers: replies([]reply{ok(200, "The Function as it now stands", resource.KindFunction)},
			problem.InvalidRequest, problem.InvalidResource, problem.NotFound, problem.NoVersion, problem.UnsupportedMediaType, problem.Unavailable),
	}
	opHealthz = operation{tag: "process", id: "healthz", summary: "Whether the process is alive.", answers: []reply{ok(200, "It is", "Alive")}}
	opReadyz  = operation{
		tag: "process", id: "readyz", summary: "Whether the process can do its work, check by check.",
		answers: []reply{ok(200, "Ready", "Readiness"), ok(503, "Not ready, or shutting down", "Readiness")},
	}
	opMetrics = operation{
		tag: "process", id: "metrics", summary: "Metrics for Prometheus.",
		answers: []reply{{200, "The metrics", media{contentType: "text/plain", schema: schema{"type": "string"}}}},
	}
	opOpenAPI = operation{
		tag: "process", id: "openapi", summary: "This document.",
		answers: []reply{{200, "OpenAPI 3.1", media{contentType: "application/json", schema: schema{"type": "object"}}}},
	}
	opHome = operation{
		tag: "process", id: "home", summary: "A page for people.",
		answers: []reply{{200, "HTML", media{contentType: "text/html", schema: schema{"type": "string"}}}},
	}
)

func kindBodies(k resource.Kind) []media {
	return []media{{"application/json", ref(k.Name), nil}, {"application/yaml", ref(k.Name), nil}}
}

func opList(k resource.Kind) operation {
	return operation{
		tag: "resources", id: "list" + k.Name, summary: "Resources of kind " + k.Name + ", sorted by name.",
		params:  []param{query("selector", "labels: key=value, key!=value, key, !key, separated by commas"), paramPage[2], paramPage[3]},
		answers: replies([]reply{ok(200, "A page", k.Name+"List")}, problem.InvalidQuery, problem.Unavailable),
	}
}

func opAdd(k resource.Kind) operation {
	return operation{
		tag: "resources", id: "add" + k.Name, summary: "Add a " + k.Name + "." + addNote(k), body: kindBodies(k),
		answers: replies([]reply{ok(201, "Added", k.Name)},
			problem.InvalidResource, problem.Exists, problem.TooLarge, problem.UnsupportedMediaType, problem.Unavailable),
	}
}

// addNote is what there is to say of adding one.
func addNote(k resource.Kind) string {
	if k.Name != resource.KindKey {
		return ""
	}
	return " Without spec.hash a token is made, and shown this once in status.token."
}

func opGet(k resource.Kind) operation {
	return operation{
		tag: "resources", id: "get" + k.Name, summary: "One " + k.Name + "; its ETag is its revision." + oneNote(k),
		params:  []param{header("If-None-Match", "an ETag: 304 when it still is that")},
		answers: replies([]reply{ok(200, "The resource", k.Name), {status: 304, what: "Not modified"}}, problem.NotFound, problem.Unavailable),
	}
}

func opUpdate(k resource.Kind) operation {
	return operation{
		tag: "resources", id: "put" + k.Name,
		summary: "Add or replace a " + k.Name + ". With a revision (metadata.revision or If-Match) only that one is replaced.",
		params:  []param{header("If-Match", "the ETag the change is based on"), header("If-None-Match", "*: only if there is none")},
		body:    kindBodies(k),
		answers: replies([]reply{ok(200, "Replaced", k.Name), ok(201, "Added", k.Name)},
			problem.InvalidResource, problem.InvalidQuery, problem.Conflict, problem.PreconditionFailed, problem.TooLarge, problem.UnsupportedMediaType, problem.Unavailable),
	}
}

func opPatch(k resource.Kind) operation {
	return operation{
		tag: "resources", id: "patch" + k.Name, summary: "Change a " + k.Name + " by a JSON merge patch (RFC 7396).",
		params: []param{header("If-Match", "the ETag the change is based on")},
		body:   []media{{"application/merge-patch+json", schema{"type": "object"}, map[string]any{"metadata": map[string]any{"labels": map[string]any{"team": "media", "old": nil}}}}},
		answers: replies([]reply{ok(200, "Changed", k.Name)},
			problem.InvalidPatch, problem.InvalidResource, problem.InvalidQuery, problem.NotFound, problem.Conflict, problem.PreconditionFailed, problem.TooLarge, problem.UnsupportedMediaType, problem.Unavailable),
	}
}

func opDelete(k resource.Kind) operation {
	return operation{
		tag: "resources", id: "delete" + k.Name, summary: "Delete a " + k.Name + "." + versionNote(k),
		params: []param{
			{name: "revision", in: "query", what: "only this revision", schema: schema{"type": "integer"}},
			header("If-Match", "only this ETag"),
		},
		answers: replies([]reply{{status: 204, what: "Deleted"}}, problem.InvalidQuery, problem.NotFound, problem.Conflict, problem.InUse, problem.PreconditionFailed, problem.Unavailable),
	}
}

func oneNote(k resource.Kind) string {
	if k.Name != resource.KindFunction {
		return ""
	}
	return " The name is that of the version in force, or name@version."
}

// versionNote is what there is to say of kinds that have versions.
func versionNote(k resource.Kind) string {
	if k.Name != resource.KindFunction {
		return ""
	}
	return " It goes with all its versions; name@version is one that is not in force, which goes unless traffic or a link names it."
}

// statusKey names an answer in the document; 0 is any other.
func statusKey(status int) string {
	if status == 0 {
		return "default"
	}
	return strconv.Itoa(status)
}
