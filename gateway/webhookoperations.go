package gateway

import "github.com/signalbox-dev/signalbox/gateway/problem"

// The operations of third parties' webhooks.
var (
	opWebhook = operation{
		tag: "webhooks", id: "postWebhook",
		summary: "A third party's webhook, verified and turned into an event as its Webhook resource says. Handshakes are answered, others 202 once the event is durable (204 for Twilio).",
		body:    []media{{"*/*", schema{}, nil}},
		answers: replies([]reply{
			ok(202, "Durable in the log", "Accepted"),
			{200, "The answer to a handshake", media{contentType: "text/plain", schema: schema{"type": "string"}}},
			{status: 204, what: "Durable in the log, for providers that would take a body for instructions"},
		}, problem.MalformedRequest, problem.InvalidRequest, problem.UnverifiedWebhook, problem.TooManyFailures, problem.Schema, problem.Denied, problem.Forbidden, problem.NotFound,
			problem.RequestTimeout, problem.TooLarge, problem.UnsupportedEncoding, problem.Backlog, problem.HeadersTooLarge, problem.Unavailable),
	}
	opWebhookChallenge = operation{
		tag: "webhooks", id: "webhookChallenge",
		summary: "Whether deliveries are wanted here: hub.challenge is answered where hub.verify_token is right (Meta, WebSub).",
		params: []param{
			query("hub.mode", "subscribe"), query("hub.verify_token", "the webhook's verify token"), query("hub.challenge", "what is answered"),
		},
		answers: replies([]reply{{200, "hub.challenge", media{contentType: "text/plain", schema: schema{"type": "string"}}}},
			problem.UnverifiedWebhook, problem.TooManyFailures, problem.NotFound, problem.Unavailable),
	}
	opWebhookHandshake = func() operation {
		op := opHandshake
		op.tag, op.id = "webhooks", "webhookNamedHandshake"
		return op
	}()
	opWebhookPreview = operation{
		tag: "webhooks", id: "previewWebhook",
		summary: "The event that a payload would become. The request is the delivery, with its headers, query and body; nothing is appended.",
		body:    []media{{"*/*", schema{}, nil}},
		answers: replies([]reply{ok(200, "The event, and whether the delivery would be taken", "WebhookPreview")},
			problem.InvalidRequest, problem.NotFound, problem.TooLarge, problem.Unavailable),
	}
)
