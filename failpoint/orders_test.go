package failpoint

import (
	"strings"
	"testing"
	"time"
)

// recording are orders that note what they did.
func recording(t *testing.T, value string) (o *orders, kills *int, slept *time.Duration) {
	t.Helper()
	o, err := parse(value)
	if err != nil {
		t.Fatal(err)
	}
	kills, slept = new(int), new(time.Duration)
	o.kill = func() { *kills++ }
	o.sleep = func(d time.Duration) { *slept += d }
	return o, kills, slept
}

func TestOrdersAreObeyed(t *testing.T) {
	for name, tt := range map[string]struct {
		value string
		kills int
		slept time.Duration
	}{
		"none":                        {"", 0, 0},
		"kill at the first hit":       {"ledger.claim.after=kill", 1, 0},
		"kill at the third":           {"ledger.claim.after=kill@3", 1, 0},
		"kill at one not reached":     {"ledger.claim.after=kill@5", 0, 0},
		"kill at another point":       {"ledger.claim.before=kill", 0, 0},
		"pause at each hit":           {"ledger.claim.after=pause:10ms", 0, 40 * time.Millisecond},
		"pause at one hit":            {"ledger.claim.after=pause:10ms@2", 0, 10 * time.Millisecond},
		"two points, spaces and an ;": {" ledger.claim.before=kill ; ledger.claim.after=pause:1s@4;", 0, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			o, kills, slept := recording(t, tt.value)
			for range 4 {
				o.hit(LedgerClaimAfter)
			}
			if *kills != tt.kills || *slept != tt.slept {
				t.Errorf("killed %d times and slept %s, want %d and %s", *kills, *slept, tt.kills, tt.slept)
			}
		})
	}
}

func TestAnOrderThatCannotBeReadIsNamed(t *testing.T) {
	for value, says := range map[string]string{
		"ledger.claim.after":                                  "point=kill",
		"ledger.claim.late=kill":                              "no point ledger.claim.late",
		"ledger.claim.after=kill@0":                           "a number from 1",
		"ledger.claim.after=kill@x":                           "a number from 1",
		"ledger.claim.after=pause:soon":                       "a duration",
		"ledger.claim.after=pause:-1s":                        "a duration",
		"ledger.claim.after=exit":                             `action "exit"`,
		"ledger.claim.after=kill;ledger.claim.after=pause:1s": "one order",
	} {
		if _, err := parse(value); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want it to say %q", value, err, says)
		}
	}
}
