package gatewaytest

import (
	"context"
	"fmt"
	"slices"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// Report implements gateway.Deliveries for the log's one partition.
func (l *Log) Report(ctx context.Context, c *event.Completion) error {
	if l.Append != nil {
		if err := l.Append(ctx); err != nil {
			return err
		}
	}
	if c.Delivery.Position.Partition != 0 {
		return fmt.Errorf("delivery %s: %w", c.Delivery, problem.ErrNotFound)
	}
	l.change(func() { l.reports = append(l.reports, *c) })
	return nil
}

// Reports returns what was reported.
func (l *Log) Reports() []event.Completion {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.reports)
}
