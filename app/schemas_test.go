package app

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/catalogue"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/otel/metrics"
	"github.com/signalbox-dev/signalbox/resource"
)

// keptDecisions collects decisions.
type keptDecisions []event.Decision

func (d *keptDecisions) record(x event.Decision) { *d = append(*d, x) }

func schemaObject(t *testing.T, name, uri, src string, types ...string) resource.Object {
	t.Helper()
	spec := map[string]any{"schema": raw(src), "types": types}
	if uri != "" {
		spec["uri"] = uri
	}
	return objectOf(t, resource.KindSchema, name, spec)
}

type raw string

func (r raw) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func TestSchemasAreWrittenOnlyAsFarAsTheyCompileTogether(t *testing.T) {
	s := openShop(t)
	address := schemaObject(t, "address", "https://x/address", `{"required":["city"]}`)
	person := schemaObject(t, "person", "", `{"$ref":"https://x/address"}`, "p")
	if _, err := s.Apply(t.Context(), []resource.Object{person}, false); err == nil || !strings.Contains(err.Error(), "nothing is fetched") {
		t.Errorf("a reference to nothing: %v", err)
	}
	s.apply(address)
	s.apply(person) // which refers to what is there already
	if _, _, err := s.Put(t.Context(), schemaObject(t, "address", "https://x/other", `{}`), gateway.Condition{}); err == nil {
		t.Error("the URI that another schema refers to was changed")
	}
	if err := s.Remove(t.Context(), resource.KindSchema, "address"); !errors.Is(err, gateway.ErrInUse) {
		t.Errorf("while it is needed: %v", err)
	}
	if _, err := s.Replace(t.Context(), []resource.Object{person}, []resource.Object{address}); err == nil {
		t.Error("a directory took away what another schema refers to")
	}
	if _, err := s.Replace(t.Context(), []resource.Object{fnObject("v1", "")}, []resource.Object{person, address}); err != nil {
		t.Error(err)
	}
}

func setOfObjects(t *testing.T, objects ...resource.Object) *resource.Set {
	t.Helper()
	set, faults := resource.NewSet(1, objects)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return &set
}

func TestASchemaThatDoesNotCompileLeavesThoseBeforeInForce(t *testing.T) {
	notes := &keptDecisions{}
	d := &schemaDesk{metrics: metrics.New(), decisions: notes, log: quiet()}
	ask := func(data string) int {
		e := &event.Event{ID: "1", Source: "/s", Type: "t", Data: []byte(data)}
		return len(d.Validate(gateway.Admission{Event: e, Route: "/events"}))
	}
	if ask(`""`) != 0 {
		t.Error("refused before anything was loaded")
	}
	d.use(setOfObjects(t, schemaObject(t, "n", "", `{"type":"integer"}`, "t"), schemaObject(t, "bad", "", `{"type":"int"}`, "t")))
	if ask(`""`) != 1 || ask(`1`) != 0 {
		t.Error("at the start the good ones are not in force")
	}
	d.use(setOfObjects(t, schemaObject(t, "bad", "", `{"type":"int"}`, "t")))
	if ask(`""`) != 1 {
		t.Error("what was in force is not any more")
	}
	d.use(setOfObjects(t))
	if ask(`""`) != 0 {
		t.Error("still refused without a schema")
	}
	if len(*notes) != 2 || (*notes)[0].Policy != "Schema/n" || (*notes)[0].Reason != "type" || (*notes)[0].Allowed || (*notes)[0].Kind != event.DecidedSchema {
		t.Errorf("%+v", *notes)
	}
}

func TestEventsOfTheTailAreNotCountedTwice(t *testing.T) {
	local, err := catalogue.New(catalogue.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	d := &typeDesk{local: local}
	rec := func(partition int32, offset int64) *event.Record {
		return &event.Record{Position: event.Position{Partition: partition, Offset: offset}, Timestamp: time.Now(), Event: &event.Event{ID: "1", Source: "/s", Type: "t"}}
	}
	for offset := range int64(5) {
		d.recall(rec(3, offset))
	}
	for offset := range int64(8) { // the last three are new
		d.observe(rec(3, offset))
	}
	d.observe(rec(0, 0))
	d.observe(rec(7, 0))
	if deltas, _ := local.Drain(); deltas[0].Count != 10 {
		t.Errorf("%d counted, want 5 of the tail and 5 new ones", deltas[0].Count)
	}
}

func TestWhatRunsShowIsNoted(t *testing.T) {
	local, err := catalogue.New(catalogue.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	d := &typeDesk{local: local}
	d.ran(&event.Run{Link: "l", Function: "f", Outcome: event.Delivered, Replies: []event.ReplyRef{{Type: "u"}}}, "")
	d.ran(&event.Run{Link: "policy:night/g@v1", Function: "g", Outcome: event.Delivered}, "")
	d.ran(&event.Run{Link: "policy:night/g@v1", Function: "g", Outcome: event.Retrying}, "status")
	d.ran(&event.Run{Link: "l", Function: "f", Outcome: event.Dropped, Reason: "denied: policy day: too hot: today"}, "policy")
	d.ran(&event.Run{Link: "l", Function: "f", Outcome: event.Dropped, Reason: "paused"}, "paused")
	deltas, effects := local.Drain()
	if len(deltas) != 1 || deltas[0].Type != "u" || deltas[0].Emitters[0] != "f" {
		t.Errorf("%+v", deltas)
	}
	if len(effects) != 2 || effects[0] != (catalogue.Effect{Policy: "day", Link: "l"}) || effects[1] != (catalogue.Effect{Policy: "night", Function: "g"}) {
		t.Errorf("%+v", effects)
	}
}
