package app

import (
	"context"
	"slices"

	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/graph"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/resource"
)

// graphDesk makes graphs of what the ledger holds and the catalogue saw. It is
// a gateway.Graphs.
type graphDesk struct {
	ledger *ledger.Ledger
	types  *typeDesk
}

// Graph implements gateway.Graphs.
func (d *graphDesk) Graph(ctx context.Context) (*graph.Graph, error) {
	revision, objects, err := d.ledger.Snapshot(ctx)
	if err != nil {
		return nil, ledgerError(err)
	}
	set, _ := resource.NewSet(revision, objects) // what is wrong was said when it was loaded
	return graph.Build(set, d.types.observed(ctx)), nil
}

// maxWarned is how many resources are looked through for the warnings of an
// apply that did not ask for them: the graph of more takes longer than the write.
const maxWarned = 20_000

// Preview implements gateway.Graphs.
func (d *graphDesk) Preview(ctx context.Context, objects []resource.Object, asked bool) (graph.Preview, error) {
	_, current, err := d.ledger.Snapshot(ctx)
	if err != nil {
		return graph.Preview{}, ledgerError(err)
	}
	if !asked && len(current) > maxWarned {
		return graph.Preview{}, nil
	}
	p, err := planWrite(slices.Clone(current), objects, gateway.Condition{})
	if err != nil {
		return graph.Preview{}, err
	}
	return graph.PreviewOf(current, carriedOut(current, p.edits), objects, d.types.observed(ctx)), nil
}

// carriedOut are the resources after a write.
func carriedOut(current []resource.Object, edits []ledger.Edit) []resource.Object {
	edited := make([]resource.Object, len(edits))
	for i := range edits {
		edited[i] = edits[i].Object
	}
	after := others(slices.Clone(current), edited)
	for i := range edits {
		if !edits[i].Delete {
			after = append(after, edits[i].Object)
		}
	}
	return after
}
