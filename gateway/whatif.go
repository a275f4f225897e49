package gateway

import (
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
)

// What the OpenAPI document says of what-if.
var opWhatIf = operation{
	tag: "history", id: "whatIf",
	summary: "What other links and policies would have made of recorded events: which functions newly fire and which stop firing. A part of the log at a time: call again with next as cursor until there is none, and add up.",
	body: []media{{"application/json", ref("WhatIf"), map[string]any{
		"remove": []any{"Link/thumbs"}, "since": "24h", "where": "type LIKE 'com.example.%'",
	}}},
	answers: replies([]reply{ok(200, "What was found in this part", "WhatIfAnswer")},
		problem.InvalidRequest, problem.InvalidQuery, problem.InvalidResource, problem.Conflict, problem.TooLarge, problem.UnsupportedMediaType, problem.Unavailable),
}

// whatIf adds the components of what-if.
func (s schemas) whatIf() {
	when := schema{"type": "string", "description": "an RFC 3339 time, or how long ago, such as 24h"}
	s["WhatIf"] = schema{"type": "object", "additionalProperties": false, "properties": schema{
		"objects":  schema{"type": "array", "items": ref("Object"), "description": "resources that are written over what is in force"},
		"remove":   schema{"type": "array", "items": text(), "description": "resources that are taken out, as Kind/name"},
		"since":    when,
		"until":    when,
		"where":    schema{"type": "string", "description": "a CESQL expression over the event"},
		"limit":    schema{"type": "integer", "minimum": 0, "description": "events to compare at most; 0 is no limit"},
		"examples": schema{"type": "integer", "minimum": 0, "maximum": 20, "description": "examples of each difference at most; 3 unless given"},
		"cursor":   schema{"type": "string", "description": "next of the answer before"},
	}}
	change := schema{"type": "string", "enum": []any{history.Newly, history.Stops}}
	count := schema{"type": "integer", "minimum": 0}
	s["WhatIfExample"] = schema{
		"type": "object", "required": []any{"change", "source", "id", "type", "position", "link"},
		"properties": schema{"change": change, "source": text(), "id": text(), "type": text(), "position": text(), "link": text(), "before": text(), "after": text()},
	}
	s["WhatIfDifference"] = schema{
		"type": "object", "required": []any{"name", "before", "after", "newly", "stops"},
		"properties": schema{"name": text(), "before": count, "after": count, "newly": count, "stops": count, "examples": schema{"type": "array", "items": ref("WhatIfExample")}},
	}
	s["WhatIfFailure"] = schema{
		"type": "object", "required": []any{"when", "source", "id", "type", "position", "error"},
		"properties": schema{"when": schema{"type": "string", "enum": []any{"before", "after"}}, "source": text(), "id": text(), "type": text(), "position": text(), "error": text()},
	}
	differences := schema{"type": "array", "items": ref("WhatIfDifference")}
	s["WhatIfAnswer"] = schema{
		"type": "object", "required": []any{"revision", "events", "changed", "functions", "links", "failedBefore", "failedAfter"},
		"properties": schema{
			"revision": count, "events": count, "changed": count, "functions": differences, "links": differences, "versions": differences,
			"failedBefore": count, "failedAfter": count, "failures": schema{"type": "array", "items": ref("WhatIfFailure")}, "next": text(),
		},
	}
}
