package app

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/resource"
)

// parkFunc is a parker made of a function.
type parkFunc func(function string, partition int32, m event.Message, done func(event.Position, error))

func (f parkFunc) Park(function string, partition int32, m event.Message, done func(event.Position, error)) {
	f(function, partition, m, done)
}

func TestReportsGoWhereTheirLeaseIs(t *testing.T) {
	var parked []string
	var fail error
	d := &deliveryDesk{targets: &targets{}, partitions: func() int32 { return 4 }}
	d.parked = parkFunc(func(function string, partition int32, m event.Message, done func(event.Position, error)) {
		c, ok, err := event.ParseCompletion(m, 1)
		parked = append(parked, fmt.Sprint(function, "/", partition, " ", c.Status, ok, err))
		done(event.Position{}, fail)
	})
	report := func(function string, partition int32) error {
		return d.Report(t.Context(), &event.Completion{Delivery: event.DeliveryToken{Function: function, Link: "l", Position: event.Position{Partition: partition}, Attempt: 1}, Status: 200})
	}
	if err := report("f", 3); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("before the resources are known: %v", err)
	}
	objects, _ := functionsHere{"f": ""}.List(t.Context(), resource.KindFunction)
	set, _ := resource.NewSet(1, objects)
	d.targets.use(set)
	if err := report("f", 3); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{"no function": report("g", 3), "no partition": report("f", 4)} {
		if !errors.Is(err, gateway.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if fmt.Sprint(parked) != "[f.Leases/3 200 true <nil>]" {
		t.Errorf("parked %v", parked)
	}
	for _, x := range []struct{ log, gateway error }{
		{eventlog.ErrBacklog, gateway.ErrBacklog}, {eventlog.ErrUnavailable, gateway.ErrUnavailable}, {eventlog.ErrTooLarge, gateway.ErrTooLarge},
	} {
		fail = x.log
		if err := report("f", 0); !errors.Is(err, x.gateway) {
			t.Errorf("%v: %v", x.log, err)
		}
	}
	d.parked = parkFunc(func(string, int32, event.Message, func(event.Position, error)) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Report(ctx, &event.Completion{Delivery: event.DeliveryToken{Function: "f"}}); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("a log that does not answer: %v", err)
	}
}

func TestWaitingCountsLeases(t *testing.T) {
	if got := byFunction(map[string]int64{"f": 1, event.LeaseStream("f"): 2, "g": 3}); len(got) != 2 || got["f"] != 3 || got["g"] != 3 {
		t.Errorf("%v", got)
	}
}
