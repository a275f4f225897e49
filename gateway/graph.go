package gateway

import (
	"github.com/signalbox-dev/signalbox/catalogue"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/graph"
)

// What the OpenAPI document says of the graph and the catalogue of types.
var (
	opGraph = operation{
		tag: "resources", id: "graph",
		summary: "Which types of events lead by which links to which functions, and what those emit, as declared and as observed, with what is wrong about it.",
		params: []param{
			{name: "format", in: "query", what: "json (default), mermaid or dot; without it Accept says which", schema: schema{"type": "string", "enum": []any{"json", "mermaid", "dot"}}},
			query("function", "only the part around this function"), query("type", "only the part around this type"),
		},
		answers: replies([]reply{
			ok(200, "The graph", "Graph"),
			{200, "", media{contentType: "text/vnd.mermaid", schema: text()}},
			{200, "", media{contentType: "text/vnd.graphviz", schema: text()}},
		}, problem.InvalidQuery, problem.NotFound, problem.Unavailable),
	}
	opTypes = operation{
		tag: "history", id: "listTypes",
		summary: "The types of events that were seen, that functions declare to emit and that links listen to, sorted by name, without samples.",
		params:  []param{query("type", "only this type, or a prefix ending in *"), paramPage[2], paramPage[3]},
		answers: replies([]reply{ok(200, "A page", "TypeList")}, problem.InvalidQuery, problem.Unavailable),
	}
	opType = operation{
		tag: "history", id: "getType", summary: "One type of events, with one of its last events as a sample.",
		answers: replies([]reply{ok(200, "The type", "Type")}, problem.InvalidQuery, problem.NotFound, problem.Unavailable),
	}
)

// graphs adds the components of the graph and the catalogue.
func (s schemas) graphs() {
	s.add("Graph", graph.Graph{})
	s.add("GraphRadius", graph.Radius{})
	s.add("Type", catalogue.Type{})
	s.with("Type", "sample", schema{"description": "an event in the CloudEvents JSON format"})
	s["TypeList"] = listOf(ref("Type"))
	s["Applied"] = schema{
		"type": "object", "required": []any{"items"},
		"properties": schema{
			"items":    schema{"type": "array", "items": ref("Object")},
			"warnings": schema{"type": "array", "items": ref("GraphFinding"), "description": "what the change introduces: cycles, functions that nothing leads to, types nobody listens to, links that lead nowhere"},
			"radius":   ref("GraphRadius"),
		},
	}
}
