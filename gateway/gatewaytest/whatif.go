package gatewaytest

import (
	"context"
	"fmt"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/history"
)

// WhatIf implements gateway.WhatIfs: it says that every recorded event stops
// firing the links that are removed. A cursor means that resources were changed.
func (l *Log) WhatIf(_ context.Context, q history.WhatIf) (history.WhatIfAnswer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := history.WhatIfAnswer{Revision: 1, Functions: []history.Difference{}, Links: []history.Difference{}}
	if q.Cursor != "" {
		return out, fmt.Errorf("%w: the resources are not those of the first request any more", problem.ErrConflict)
	}
	for _, r := range q.Remove {
		d := history.Difference{Name: r.Name}
		for i := range l.records {
			d.Before++
			d.Stops++
			if e := l.records[i].Event; len(d.Examples) < q.Examples {
				d.Examples = append(d.Examples, example(e, l.records[i].Position, r.Name))
			}
		}
		out.Links = append(out.Links, d)
	}
	out.Events, out.Changed = int64(len(l.records)), int64(len(l.records))
	return out, nil
}

func example(e *event.Event, at event.Position, link string) history.WhatIfExample {
	return history.WhatIfExample{Change: history.Stops, Source: e.Source, ID: e.ID, Type: e.Type, Position: at.String(), Link: link, Before: "type *", After: "there is no such link"}
}
