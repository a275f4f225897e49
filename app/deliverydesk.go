package app

import (
	"context"
	"fmt"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
)

// deliveryDesk takes what functions report of deliveries under leases. It is
// safe for concurrent use.
type deliveryDesk struct {
	parked     parker
	targets    *targets
	partitions func() int32
}

// Report implements gateway.Deliveries. It makes no topic for a function or a
// partition that there is not.
func (d *deliveryDesk) Report(ctx context.Context, c *event.Completion) error {
	t := &c.Delivery
	switch set := d.targets.at.Load(); {
	case set == nil:
		return fmt.Errorf("%w: the resources are not loaded yet", gateway.ErrUnavailable)
	case set.set.Function(t.Function, "") == nil:
		return fmt.Errorf("%w: there is no function %s", gateway.ErrNotFound, t.Function)
	}
	if n := d.partitions(); t.Position.Partition >= n {
		return fmt.Errorf("%w: the log has no partition %d", gateway.ErrNotFound, t.Position.Partition)
	}
	done := make(chan error, 1)
	d.parked.Park(event.LeaseStream(t.Function), t.Position.Partition, c.Message(), func(_ event.Position, err error) { done <- err })
	select {
	case err := <-done:
		return gatewayError(err)
	case <-ctx.Done():
		return fmt.Errorf("%w: the log did not answer in time; report again", gateway.ErrUnavailable)
	}
}

func (a *App) deliveryDesk() *deliveryDesk {
	return &deliveryDesk{
		parked: a.events, targets: &a.targets,
		partitions: func() int32 { return a.events.Partitions(eventlog.Events) },
	}
}
