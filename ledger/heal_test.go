package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/ledger/embedded"
	"github.com/signalbox-dev/signalbox/resource"
)

// storedAt is a stored document of link x at a revision.
func storedAt(t testing.TB, revision uint64) string {
	t.Helper()
	s, err := encodeStored(linkAt(revision))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func linkAt(revision uint64) resource.Object {
	return resource.Object{Kind: "Link", Metadata: resource.Metadata{Name: "x", Revision: revision}, Spec: json.RawMessage(`{}`)}
}

// TestPlan goes through what Redis and the history may say of one resource, x.
func TestPlan(t *testing.T) {
	none := uint64(0)
	for _, c := range []struct {
		name                    string
		redis, history, pending uint64 // revisions of x; 0 none
		deleted, lost           bool   // the history ends with a deletion; Redis has no revision
		floor                   uint64
		want                    string
	}{
		{name: "both the same", redis: 3, history: 3, want: "revision 9"},
		{name: "neither", want: "revision 9"},
		{name: "a new Redis", lost: true, want: "revision 0 rewrite"},
		{name: "an emptied Redis", lost: true, history: 3, want: "revision 4 rewrite restore"},
		{name: "an emptied Redis, and we have seen more", lost: true, history: 3, floor: 12, want: "revision 13 rewrite restore"},
		{name: "Redis is older", redis: 3, history: 11, want: "revision 12 rewrite restore"},
		{name: "Redis lost the last change", redis: none, history: 9, want: "revision 10 rewrite restore"},
		{name: "the history is older", redis: 5, history: 3, want: "revision 9 append"},
		{name: "the history has nothing", redis: 5, want: "revision 9 append"},
		{name: "deleted, but Redis has it still", redis: 3, deleted: true, want: "revision 10 rewrite remove"},
		{name: "written, not in the history yet", redis: 9, history: 3, pending: 9, want: "revision 9"},
		{name: "written anew, its deletion is the history's last", redis: 9, deleted: true, pending: 9, want: "revision 9"},
		{name: "deleted, not in the history yet", history: 3, pending: 9, want: "revision 9"},
		{name: "a pending write older than the history", redis: 4, history: 11, pending: 4, want: "revision 12 rewrite restore"},
		{name: "behind what we have seen", redis: 3, history: 3, floor: 12, want: "revision 13 rewrite"},
	} {
		state := redisState{found: !c.lost, documents: map[string]string{}}
		if state.found {
			state.revision = 9
		}
		h := loaded{objects: map[string]resource.Object{}, deleted: map[string]bool{"Link/x": c.deleted}, revision: c.history}
		if c.redis > 0 {
			state.documents["Link/x"] = storedAt(t, c.redis)
		}
		if c.history > 0 {
			h.objects["Link/x"] = linkAt(c.history)
		}
		if c.pending > 0 {
			state.pending = []pendingWrite{{token: "t", revision: c.pending, fields: []string{"Link/x"}}}
		}
		p, err := makePlan(state, h, c.floor)
		got := fmt.Sprintf("revision %d", p.revision)
		for what, does := range map[string]bool{" rewrite": p.rewrite} {
			if does {
				got += what
			}
		}
		got += strings.Repeat(" restore", len(p.restore)) + strings.Repeat(" remove", len(p.remove)) + strings.Repeat(" append", len(p.lacking))
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.name, got, err, c.want)
		}
	}
}

// list is a History in memory (ledgertest's would be an import cycle).
type list struct {
	keys   []string
	values [][]byte
}

func (h *list) Append(_ context.Context, key string, value []byte, _ uint64) error {
	h.keys, h.values = append(h.keys, key), append(h.values, value)
	return nil
}

func (h *list) Load(_ context.Context, fn func(string, []byte) error) error {
	for i := range h.keys {
		if err := fn(h.keys[i], h.values[i]); err != nil {
			return err
		}
	}
	return nil
}

// TestCrashBetweenRedisAndHistory stops changes before the history has them:
// the next start brings them there, and a Redis lost later comes back with them.
func TestCrashBetweenRedisAndHistory(t *testing.T) {
	server, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	cfg, h := patientConfig(), new(list)
	cfg.URL = server.URL()
	start := func() *Ledger {
		l, err := Open(t.Context(), cfg, h)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := start()
	for _, name := range []string{"deleted", "changed"} {
		if _, err := first.Put(t.Context(), link(name, "1"), Any()); err != nil {
			t.Fatal(err)
		}
	}
	var writes []write
	for _, name := range []string{"changed", "created"} {
		w, err := first.newWrite(link(name, "2"), Any())
		if err != nil {
			t.Fatal(err)
		}
		writes = append(writes, w)
	}
	for _, ws := range [][]write{writes, {{field: "Link/deleted"}}} {
		if _, err := first.writeRedis(t.Context(), first.newToken(), ws); err != nil {
			t.Fatal(err)
		}
	}
	first.Close()
	l := start()
	defer l.Close()
	if n := l.client.HLen(t.Context(), l.keys.pending).Val(); n != 0 {
		t.Errorf("%d writes are still pending", n)
	}
	check(t, l)
	if err := l.client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	check(t, l)
}

func check(t *testing.T, l *Ledger) {
	t.Helper()
	_, all, err := l.Snapshot(t.Context())
	var got []string
	for _, o := range all {
		got = append(got, fmt.Sprintf("%s %d %s", o.Metadata.Name, o.Metadata.Revision, o.Spec))
	}
	if want := []string{`changed 3 {"f":"2"}`, `created 3 {"f":"2"}`}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

func link(name, f string) resource.Object {
	return resource.Object{APIVersion: resource.APIVersion, Kind: "Link",
		Metadata: resource.Metadata{Name: name}, Spec: json.RawMessage(`{"f":"` + f + `"}`)}
}

// reordered is a history in which one writer's append lands after a later
// writer's: the race that record follows.
type reordered struct {
	list
	held func()
}

func (h *reordered) Append(ctx context.Context, key string, value []byte, revision uint64) error {
	if held := h.held; held != nil {
		h.held = nil
		held()
	}
	return h.list.Append(ctx, key, value, revision)
}

func TestHistoryEndsWithTheLastWriteWhateverTheOrderOfAppends(t *testing.T) {
	server, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	cfg, h := patientConfig(), new(reordered)
	cfg.URL = server.URL()
	l, err := Open(t.Context(), cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h.held = func() {
		if _, err := l.Put(t.Context(), link("x", "later"), Any()); err != nil {
			t.Error(err)
		}
	}
	if _, err := l.Put(t.Context(), link("x", "earlier"), Any()); err != nil {
		t.Fatal(err)
	}
	if last := string(h.values[len(h.values)-1]); !strings.Contains(last, "later") {
		t.Errorf("the history ends with %s", last)
	}
}

// meddled is a history during whose first loading a resource comes and goes.
type meddled struct {
	list
	before, after func()
}

func (h *meddled) Load(ctx context.Context, fn func(string, []byte) error) error {
	before, after := h.before, h.after
	h.before, h.after = nil, nil
	if before != nil {
		before()
	}
	err := h.list.Load(ctx, fn)
	if after != nil {
		after()
	}
	return err
}

func TestHealingDoesNotResurrectWhatIsDeletedMeanwhile(t *testing.T) {
	server, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	cfg, h := patientConfig(), new(meddled)
	cfg.URL = server.URL()
	l, err := Open(t.Context(), cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h.before = func() {
		if _, err := l.Put(t.Context(), link("x", "1"), Any()); err != nil {
			t.Error(err)
		}
	}
	h.after = func() {
		if err := l.Delete(t.Context(), "Link", "x", Any()); err != nil {
			t.Error(err)
		}
	}
	report, err := l.Heal(t.Context())
	if err != nil || report != (HealReport{Revision: 2}) {
		t.Errorf("%+v, %v; want nothing to do", report, err)
	}
	if revision, all, err := l.Snapshot(t.Context()); err != nil || revision != 2 || len(all) != 0 {
		t.Errorf("revision %d, %v, %v; want 2, none", revision, all, err)
	}
}

func FuzzHistoryRecord(f *testing.F) {
	f.Add("Link/x", []byte(`{"kind":"Link","metadata":{"name":"x","revision":3},"spec":{}}`))
	f.Add("Link/x", []byte(nil))
	f.Add(RevisionKey, []byte(`{"revision":3}`))
	f.Add("Link/y", []byte(`{"kind":"Link","metadata":{"name":"x"}}`))
	f.Add("", []byte("[]"))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		h := loaded{objects: map[string]resource.Object{}, deleted: map[string]bool{}}
		_ = h.add(key, value)
		for field, o := range h.objects {
			if field != fieldOf(o.Kind, o.Metadata.Name) {
				t.Errorf("%q holds %s/%s", field, o.Kind, o.Metadata.Name)
			}
			if _, err := makePlan(redisState{}, h, 0); err != nil {
				t.Errorf("a record stops healing: %v", err)
			}
		}
	})
}
