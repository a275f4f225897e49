package api

import (
	"bytes"
	"context"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/gateway/parameter"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/graph"
	"github.com/signalbox-dev/signalbox/resource"
)

// Graphs knows which types lead to which functions, and what a change would do
// to that. Errors wrap problem.ErrUnavailable. Safe for concurrent use.
type Graphs interface {
	// Graph is that of the resources as they are, with what was observed.
	Graph(ctx context.Context) (*graph.Graph, error)
	// Preview says what writing the objects would bring with it, and writes
	// nothing. They have been decoded, not checked. asked is false for a write that
	// only wants to be warned: where that takes long it may be left out.
	Preview(ctx context.Context, objects []resource.Object, asked bool) (graph.Preview, error)
}

// The media types of drawings.
const (
	mermaidType = "text/vnd.mermaid"
	dotType     = "text/vnd.graphviz"
)

// Graph answers the graph, or the part around a function or a type, as JSON or
// as a drawing.
func (a *API) Graph(c *fiber.Ctx) error {
	if a.deps.Graphs == nil {
		return problem.New(problem.Unavailable, "the graph is not available here")
	}
	format, err := graphFormat(c)
	if err != nil {
		return err
	}
	kind, name, err := graphPart(c)
	if err != nil {
		return err
	}
	return a.within(func(ctx context.Context) error {
		g, err := a.deps.Graphs.Graph(ctx)
		if err != nil {
			return err
		}
		if kind != "" {
			if g = g.Part(kind, name); g == nil {
				return problem.New(problem.NotFound, "there is no %s %s in the graph", kind, parameter.Clip(name))
			}
		}
		return answerGraph(c, g, format)
	})
}

// graphFormat is what the parameter format says, else the header Accept.
func graphFormat(c *fiber.Ctx) (string, error) {
	switch f := c.Query("format"); f {
	case "json", "mermaid", "dot":
		return strings.Clone(f), nil
	case "":
	default:
		return "", problem.New(problem.InvalidQuery, "format %q: want json, mermaid or dot", parameter.Clip(f))
	}
	accept := strings.ToLower(c.Get(fiber.HeaderAccept))
	switch {
	case strings.Contains(accept, mermaidType):
		return "mermaid", nil
	case strings.Contains(accept, dotType):
		return "dot", nil
	}
	return "json", nil
}

// graphPart is the node that is asked for; "" is all of the graph.
func graphPart(c *fiber.Ctx) (kind, name string, err error) {
	function, typ := strings.Clone(c.Query("function")), strings.Clone(c.Query("type"))
	switch {
	case function != "" && typ != "":
		return "", "", problem.New(problem.InvalidQuery, "function and type: want one of them")
	case function != "":
		return graph.KindFunction, function, nil
	case typ != "":
		return graph.KindType, typ, nil
	}
	return "", "", nil
}

func answerGraph(c *fiber.Ctx, g *graph.Graph, format string) error {
	c.Set(fiber.HeaderVary, fiber.HeaderAccept)
	if format == "json" {
		return answer(c, fiber.StatusOK, g)
	}
	var b bytes.Buffer
	write, contentType := g.WriteMermaid, mermaidType
	if format == "dot" {
		write, contentType = g.WriteDOT, dotType
	}
	if err := write(&b); err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-cache")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderContentType, contentType+"; charset=utf-8")
	return c.Send(b.Bytes())
}

// preview says what a change would bring with it; nil where that is not known:
// it never keeps a change from being made.
func (a *API) preview(ctx context.Context, objects []resource.Object, asked bool) *graph.Preview {
	if a.deps.Graphs == nil {
		return nil
	}
	p, err := a.deps.Graphs.Preview(ctx, objects, asked)
	if err != nil {
		return nil
	}
	return &p
}
