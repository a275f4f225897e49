package gateway

import (
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
)

// What the OpenAPI document says of the routes of dead letters.
var (
	paramLetter = params(paramIdentity, paramDelivery, []param{query("where", "a CESQL expression over the event")})
	paramDryRun = param{name: "dryRun", in: "query", what: "only say what would be done", schema: schema{"type": "boolean"}}
	paramAll    = param{name: "all", in: "query", what: "needed when nothing else says which dead letters are meant", schema: schema{"type": "boolean"}}
	bodyRedrive = []media{{"application/json", ref("RedriveOptions"), map[string]any{"version": "v2"}}}

	opDeadLetters = operation{
		tag: "history", id: "listDeadLetters", summary: "Dead letters with their state, oldest first.",
		params: params(paramLetter, []param{
			{name: "state", in: "query", what: "what was decided", schema: schema{"type": "string", "enum": letterStates()}},
		}, paramPage),
		answers: replies([]reply{ok(200, "A page", "DeadLetterList")}, problem.InvalidQuery, problem.Unavailable),
	}
	opDeadLetter = operation{
		tag: "history", id: "getDeadLetter", summary: "One dead letter, with what was decided about it.",
		answers: replies([]reply{ok(200, "The dead letter", "DeadLetter")}, problem.NotFound, problem.Unavailable),
	}
	opRedrive = operation{
		tag: "history", id: "redriveDeadLetter",
		summary: "Deliver a dead letter again, its attempts counted from 1: as it was, with another event, or to another version of the function. Done once: a second request is answered with already.",
		params:  []param{paramDryRun}, body: bodyRedrive, bodyOptional: true,
		answers: replies([]reply{ok(200, "Redriven, now or before", "DeadLetterDecided")},
			problem.InvalidRequest, problem.InvalidEvent, problem.InvalidQuery, problem.NotFound, problem.Decided, problem.NotRedrivable,
			problem.TooLarge, problem.UnsupportedMediaType, problem.Backlog, problem.Unavailable),
	}
	opDrop = operation{
		tag: "history", id: "dropDeadLetter", summary: "Give a dead letter up.",
		params: []param{paramDryRun},
		answers: replies([]reply{ok(200, "Dropped, now or before", "DeadLetterDecided")},
			problem.InvalidRequest, problem.InvalidQuery, problem.NotFound, problem.Decided, problem.Unavailable),
	}
	opRedriveAll = operation{
		tag: "history", id: "redriveDeadLetters",
		summary: "Deliver dead letters again, oldest first, a part at a time: call again with next as cursor until there is none. Those made after the first call are left alone.",
		params:  params(paramLetter, []param{paramAll, paramDryRun}, paramPage), body: bodyRedrive, bodyOptional: true,
		answers: decideAllAnswers(problem.UnsupportedMediaType),
	}
	opDropAll = operation{
		tag: "history", id: "dropDeadLetters",
		summary: "Give dead letters up, oldest first, a part at a time: call again with next as cursor until there is none.",
		params:  params(paramLetter, []param{paramAll, paramDryRun}, paramPage),
		answers: decideAllAnswers(),
	}
)

func decideAllAnswers(more ...problem.Kind) []reply {
	return replies([]reply{ok(200, "What was done in this call", "DeadLetterTally")},
		append([]problem.Kind{problem.InvalidRequest, problem.InvalidQuery, problem.Unavailable}, more...)...)
}

func letterStates() []any {
	return []any{string(history.LetterOpen), string(history.LetterRedriven), string(history.LetterDropped)}
}

// letters adds the components of dead letters.
func (s schemas) letters() {
	state := schema{"type": "string", "enum": letterStates()}
	s.add("DeadLetterResolution", event.Resolution{})
	s.with("DeadLetterResolution", "event", ref("Event"))
	s.with("DeadLetter", "state", state)
	s.with("DeadLetter", "resolution", ref("DeadLetterResolution"))
	s["DeadLetterList"] = listOf(ref("DeadLetter"))
	s["RedriveOptions"] = schema{"type": "object", "additionalProperties": false, "properties": schema{
		"version": schema{"type": "string", "description": "version of the function to deliver to; absent is the one in force"},
		"event":   ref("Event"),
	}}
	s.add("DeadLetterDecided", history.Decided{})
	s.with("DeadLetterDecided", "state", state)
	s["DeadLetterFailure"] = schema{"type": "object", "required": []any{"id", "reason"}, "properties": schema{"id": text(), "reason": text()}}
	count := schema{"type": "integer", "minimum": 0}
	s["DeadLetterTally"] = schema{
		"type": "object", "required": []any{"scanned", "redriven", "dropped", "already", "failed"},
		"properties": schema{
			"scanned": count, "redriven": count, "dropped": count, "already": count, "failed": count,
			"failures": schema{"type": "array", "items": ref("DeadLetterFailure")},
			"dryRun":   schema{"type": "boolean"}, "next": text(),
		},
	}
}
