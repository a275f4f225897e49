package hooks

import (
	"strings"
	"testing"
	"time"
)

func TestRefusalsOfAWebhookAreToldNowAndThen(t *testing.T) {
	var told told
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		webhook string
		after   time.Duration
		silent  int
		tell    bool
	}{
		{"a", 0, 0, true}, {"a", time.Second, 0, false}, {"b", time.Second, 0, true}, {"a", tellEvery - 1, 0, false},
		{"a", tellEvery, 2, true}, {"a", tellEvery + 1, 0, false}, {"a", 3 * tellEvery, 1, true}, {"a", 4 * tellEvery, 0, true},
	} {
		if silent, tell := told.again(c.webhook, start.Add(c.after)); silent != c.silent || tell != c.tell {
			t.Errorf("%s after %v: %d, %v: want %d, %v", c.webhook, c.after, silent, tell, c.silent, c.tell)
		}
	}
}

func TestAReasonIsClippedBetweenCharacters(t *testing.T) {
	if got := clip("no"); got != "no" {
		t.Error(got)
	}
	if got := clip("a" + strings.Repeat("ü", 200)); got != "a"+strings.Repeat("ü", 99)+"…" {
		t.Error(got)
	}
}
