package app

import (
	"context"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/ledger"
)

// TestOfCopiesInOnePartitionTheFirstIsRemembered: after a restart a later copy
// must not run again.
func TestOfCopiesInOnePartitionTheFirstIsRemembered(t *testing.T) {
	log, stop := openLog(t, t.TempDir())
	defer stop()
	copied := &event.Event{ID: "1", Source: "/s", Type: "t", Subject: "same key"}
	for range 3 {
		write(t, log, eventlog.Events, copied.Message())
	}
	var recs []event.Record
	err := log.Read(context.Background(), eventlog.Events, eventlog.Earliest(), eventlog.ReadOptions{}, func(r event.Record) error {
		recs = append(recs, r)
		return nil
	})
	if err != nil || len(recs) != 3 || recs[0].Partition != recs[2].Partition {
		t.Fatalf("records %+v, %v", recs, err)
	}
	memory := ledger.NewMemoryDedup(time.Hour, 1000)
	if err := fillDedup(context.Background(), log, memory); err != nil {
		t.Fatal(err)
	}
	verdicts := make([]event.Verdict, 3)
	if err := memory.Claim(context.Background(), recs, verdicts); err != nil {
		t.Fatal(err)
	}
	if verdicts[0] != event.Redelivery || verdicts[1] != event.Duplicate || verdicts[2] != event.Duplicate {
		t.Errorf("verdicts %v, want a redelivery and two duplicates", verdicts)
	}
}
