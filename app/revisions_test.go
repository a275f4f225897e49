package app

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/eventlog"
	"github.com/signalbox-dev/signalbox/ledger"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

// TestResourcesAreAsTheyWere appends versions name=revision (- deletes, ? has no
// number beside it) and wants the links of a revision.
func TestResourcesAreAsTheyWere(t *testing.T) {
	for _, c := range []struct {
		name, history string
		at            uint64
		want          string
	}{
		{"nothing yet", "a=5", 4, "[]"},
		{"the last version up to it", "a=1 b=2 a=3 a=5", 4, "[a3 b2]"},
		{"deleted before", "a=1 a=2- b=3", 4, "[b3]"},
		{"deleted later", "a=1 b=3 a=5-", 4, "[a1 b3]"},
		{"back again", "a=1 a=2- a=3", 4, "[a3]"},
		{"in another order", "a=4 a=2 b=1", 4, "[a4 b1]"},
		{"appended again", "a=1 a=3 a=1", 4, "[a3]"},
		{"from before versions were numbered", "a=1? b=2? a=3-?", 4, "[b2]"},
		{"from before, up to then", "a=1? b=2? a=3-?", 2, "[a1 b2]"},
	} {
		log, _ := openLog(t, t.TempDir())
		h := log.History()
		for f := range strings.FieldsSeq(c.history) {
			appendVersion(t, h, f)
		}
		r := newRevisions(log, policies.DefaultConfig())
		p, err := r.At(t.Context(), c.at)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range p.set.Links {
			got = append(got, fmt.Sprint(l.Metadata.Name, l.Metadata.Revision))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

func appendVersion(t *testing.T, h *eventlog.History, f string) {
	t.Helper()
	name, rest, _ := strings.Cut(f, "=")
	var revision uint64
	fmt.Sscanf(rest, "%d", &revision)
	var value []byte
	if !strings.Contains(rest, "-") {
		o := linkObject(t, name, "f", "t", nil)
		o.Metadata.Revision = revision
		value, _ = json.Marshal(o)
	}
	header := revision
	if strings.HasSuffix(rest, "?") {
		header = 0
		if value == nil {
			if err := h.Append(t.Context(), ledger.RevisionKey, fmt.Appendf(nil, `{"revision":%d}`, revision), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := h.Append(t.Context(), "Link/"+name, value, header); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNotKnownOfThePastIsSaid(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	created := time.Now().Add(-time.Hour)
	for i, late := range []bool{true, false} {
		o := linkObject(t, fmt.Sprint("l", i), "f", "t", nil)
		o.Metadata.UID, o.Metadata.UpdatedAt, o.Metadata.Revision = resource.NewUID(created), created, uint64(8+i)
		if late {
			o.Metadata.UpdatedAt = created.Add(time.Minute)
		}
		value, _ := json.Marshal(o)
		if err := log.History().Append(t.Context(), "Link/"+o.Metadata.Name, value, o.Metadata.Revision); err != nil {
			t.Fatal(err)
		}
	}
	p, err := newRevisions(log, policies.DefaultConfig()).At(t.Context(), 5)
	if err != nil || !slices.Equal(p.gaps, []string{"Link/l0"}) {
		t.Errorf("gaps %v, %v: want the link that was changed before", p.gaps, err)
	}
}

func TestPastsAreKeptWithinABound(t *testing.T) {
	log, _ := openLog(t, t.TempDir())
	for n := range 10 {
		appendVersion(t, log.History(), fmt.Sprintf("a=%d", n+1))
	}
	r := newRevisions(log, policies.DefaultConfig())
	at := func(n uint64) *past {
		p, err := r.At(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := at(1)
	for n := range uint64(maxPasts) {
		at(n + 1)
	}
	if at(1) != first {
		t.Error("one that was just used is forgotten")
	}
	for n := range uint64(10) {
		at(n + 1)
	}
	if at(1) == first || len(r.pasts) != maxPasts {
		t.Errorf("%d are kept, want the last %d", len(r.pasts), maxPasts)
	}
	if one, two := at(99), at(99); r.known(99) != nil || one == two {
		t.Error("a revision that the history does not have yet is remembered")
	}
}
