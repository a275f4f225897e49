package resource

import (
	"testing"
	"time"
)

func TestUIDSaysWhenItWasMade(t *testing.T) {
	now := time.Date(2026, 11, 21, 7, 30, 0, 123e6, time.UTC)
	m := Metadata{UID: NewUID(now)}
	if at, ok := m.Created(); !ok || !at.Equal(now) || len(m.UID) != 26 {
		t.Errorf("%s: created %v, %t", m.UID, at, ok)
	}
	if later := NewUID(now.Add(time.Millisecond)); later <= m.UID || NewUID(now) == m.UID {
		t.Errorf("%s, then %s: want another, sorted behind", m.UID, later)
	}
	for _, uid := range []string{"", "AAAA", "no uid of ours, is it"} {
		m.UID = uid
		if _, ok := m.Created(); ok {
			t.Errorf("%q has a time", uid)
		}
	}
}
