package resource

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

func written(o Object, uid string, revision uint64) Object {
	o.Metadata.UID, o.Metadata.Revision, o.Metadata.UpdatedAt = uid, revision, time.Unix(int64(revision), 0)
	return o
}

func TestTheNextSetKeepsTheLinksThatDidNotChange(t *testing.T) {
	fn := written(object(KindFunction, "f", `{"url":"http://x","on":["a"]}`), "uf", 1)
	link := func(name, uid string, revision uint64, types string) Object {
		return written(object(KindLink, name, fmt.Sprintf(`{"function":"f","types":[%q]}`, types)), uid, revision)
	}
	first, _ := NewSet(5, []Object{fn, link("changed", "1", 2, "a"), link("gone", "2", 3, "a"), link("replaced", "3", 4, "a"), link("same", "4", 5, "a")})
	objects := []Object{fn, link("changed", "1", 6, "b"), link("f", "6", 9, "b"), link("new", "5", 7, "b"), link("replaced", "33", 4, "b"), link("same", "4", 5, "a")}
	next, faults := first.Next(9, objects)
	if faults != nil {
		t.Fatal(faults)
	}
	anew, _ := NewSet(9, objects)
	if !reflect.DeepEqual(next, anew) {
		t.Errorf("next %+v, anew %+v", next, anew)
	}
	for _, l := range next.Links {
		kept := false
		for _, was := range first.Links {
			kept = kept || was == l
		}
		if kept != (l.Metadata.Name == "same") {
			t.Errorf("link %s kept: %v", l.Metadata.Name, kept)
		}
	}
	later := link("same", "4", 5, "c") // the same number for another change: the ledger came back from a backup
	later.Metadata.UpdatedAt = time.Unix(99, 0)
	if again, _ := next.Next(10, []Object{fn, later}); again.Links[len(again.Links)-1].Spec.Types[0] != "c" {
		t.Error("a link of another time is kept")
	}
}
