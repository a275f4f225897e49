package gateway

import "github.com/signalbox-dev/signalbox/gateway/problem"

// What the OpenAPI document says of the routes by which functions report.
var (
	opComplete = operation{
		tag: "events", id: "completeDelivery",
		summary: "Report the end of a delivery that was answered with 202 and Signalbox-Lease; the token is the call's Signalbox-Delivery. Events in the body (binary, structured or batched) are replies, as a 200 answer would carry them.",
		params: []param{
			header("Signalbox-Status", "200 to 299 is done (default 200), 400 to 599 a failed attempt"),
			query("status", "the same"),
		},
		body: []media{
			{"application/cloudevents+json", ref("Event"), exampleEvent},
			{"application/cloudevents-batch+json", schema{"type": "array", "items": ref("Event")}, []any{exampleEvent}},
			{"*/*", schema{}, nil},
		},
		bodyOptional: true,
		answers: replies([]reply{ok(202, "Durable in the log", "Reported")},
			problem.InvalidRequest, problem.InvalidQuery, problem.InvalidEvent, problem.InvalidBatch, problem.NotFound,
			problem.TooLarge, problem.BatchTooLong, problem.UnsupportedFormat, problem.Backlog, problem.Unavailable),
	}
	opExtendLease = operation{
		tag: "events", id: "extendLease", summary: "Ask for more time for a delivery under a lease, counted from now. It never gets shorter.",
		params: []param{
			header("Signalbox-Lease", "a duration such as 90s, or whole seconds, 1s to 24h"),
			query("lease", "the same"),
		},
		answers: replies([]reply{ok(202, "Durable in the log", "Reported")},
			problem.InvalidRequest, problem.InvalidQuery, problem.NotFound, problem.Backlog, problem.Unavailable),
	}
)
