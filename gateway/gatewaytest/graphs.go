package gatewaytest

import (
	"context"
	"fmt"
	"slices"

	"github.com/signalbox-dev/signalbox/catalogue"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/graph"
	"github.com/signalbox-dev/signalbox/resource"
)

// Graphs is a gateway.Graphs of fixed resources, which knows nothing else.
type Graphs struct {
	Objects []resource.Object
	// Err, unless nil, is what everything answers.
	Err error
}

// Graph implements gateway.Graphs.
func (g *Graphs) Graph(context.Context) (*graph.Graph, error) {
	set, _ := resource.NewSet(1, g.Objects)
	return graph.Build(set, graph.Observed{Types: []graph.SeenType{{Name: "seen", Rate: 2}}}), g.Err
}

// Preview implements gateway.Graphs.
func (g *Graphs) Preview(_ context.Context, objects []resource.Object, _ bool) (graph.Preview, error) {
	return graph.PreviewOf(g.Objects, append(slices.Clone(g.Objects), objects...), objects, graph.Observed{}), g.Err
}

// Catalogue is a gateway.Catalogue of fixed types, sorted by name.
type Catalogue []catalogue.Type

// Types implements gateway.Catalogue.
func (c Catalogue) Types(context.Context) ([]catalogue.Type, error) { return c, nil }

// Type implements gateway.Catalogue.
func (c Catalogue) Type(_ context.Context, name string) (catalogue.Type, error) {
	for _, t := range c {
		if t.Name == name {
			return t, nil
		}
	}
	return catalogue.Type{}, fmt.Errorf("type %q: %w", name, problem.ErrNotFound)
}
