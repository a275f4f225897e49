package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/signalbox-dev/signalbox/verify/verifytest"
)

// verifyAgainst runs the command against a gateway that makes a mistake with one delivery.
func verifyAgainst(t *testing.T, m verifytest.Mistake, args ...string) (code int, out, errOut string) {
	t.Helper()
	var done atomic.Bool
	g := &verifytest.Gateway{Mistake: func(verifytest.Delivery) verifytest.Mistake {
		if done.CompareAndSwap(false, true) {
			return m
		}
		return verifytest.None
	}}
	url := g.Start()
	defer g.Close()
	var stdout, stderr bytes.Buffer
	drain := "1m" // without any delivery: much even for a busy machine
	if m == verifytest.Drop {
		drain = "5s" // which is waited for
	}
	args = append([]string{"verify", "--server", url, "-q", "--events", "30", "--rate", "10000", "--keys", "1", "--order", "key", "--fail", "0", "--drain", drain, "--linger", "10ms"}, args...)
	code = run(context.Background(), args, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestVerifyEndsWithOneWhenADeliveryIsDropped(t *testing.T) {
	code, out, errOut := verifyAgainst(t, verifytest.Drop)
	if code != 1 || !strings.HasPrefix(errOut, "signalbox: 1 of 90 deliveries were lost") || // and its reply, if it had one
		!strings.Contains(out, "\nlost: ") || strings.Contains(out, "nothing was lost") {
		t.Errorf("code %d, stderr %q, stdout\n%s", code, errOut, out)
	}
	code, out, _ = verifyAgainst(t, verifytest.Drop, "-o", "json")
	var rep struct{ Deliveries struct{ Lost int } }
	if err := json.Unmarshal([]byte(out), &rep); err != nil || code != 1 || rep.Deliveries.Lost != 1 {
		t.Errorf("code %d, %+v, error %v", code, rep, err)
	}
}

func TestVerifyEndsWithOneWhenTheOrderIsBroken(t *testing.T) {
	code, _, errOut := verifyAgainst(t, verifytest.Swap)
	if code != 1 || !strings.Contains(errOut, "1 deliveries overtook an earlier one of their key") {
		t.Errorf("code %d, stderr %q", code, errOut)
	}
	if code, _, errOut := verifyAgainst(t, verifytest.Swap, "--order", "none"); code != 0 {
		t.Errorf("without an order: code %d, stderr %q", code, errOut)
	}
}

func TestVerifyReportsDuplicatesAndFailsOnThemWhenAsked(t *testing.T) {
	code, out, errOut := verifyAgainst(t, verifytest.Twice)
	if code != 0 || !strings.Contains(out, "\nredelivered: ") {
		t.Errorf("code %d, stderr %q, stdout\n%s", code, errOut, out)
	}
	code, _, errOut = verifyAgainst(t, verifytest.Copy, "--max-duplicates", "0")
	if code != 1 || !strings.Contains(errOut, "1 deliveries came again after a success: --max-duplicates allows 0") {
		t.Errorf("code %d, stderr %q", code, errOut)
	}
}

func TestVerifyIsFineWithAGatewayThatIs(t *testing.T) {
	code, out, errOut := verifyAgainst(t, verifytest.None)
	if code != 0 || errOut != "" || !strings.Contains(out, "nothing was lost") {
		t.Errorf("code %d, stderr %q, stdout\n%s", code, errOut, out)
	}
}

func TestAShareIsAPercentageOrAFraction(t *testing.T) {
	for in, want := range map[string]share{"2%": 0.02, "0.02": 0.02, " 100% ": 1, "0": 0, "1": 1} {
		var s share
		if err := s.Set(in); err != nil || s != want {
			t.Errorf("%q: %v, error %v; want %v", in, s, err, want)
		}
	}
	for _, in := range []string{"", "%", "101%", "2", "-1%", "NaN", "many"} {
		var s share
		if err := s.Set(in); err == nil {
			t.Errorf("%q: %v, want an error", in, s)
		}
	}
}
