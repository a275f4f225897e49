package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/signalbox-dev/signalbox/event"
)

// parts answers each request about many with the next part.
func parts(t *testing.T, answers ...string) (c *Client, asked *[]string) {
	t.Helper()
	asked = new([]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*asked = append(*asked, fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), body))
		if len(answers) == 0 {
			http.Error(w, `{"title":"Temporarily unavailable","status":503,"detail":"the log is away"}`, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, answers[0])
		answers = answers[1:]
	}))
	t.Cleanup(server.Close)
	c, err := New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return c, asked
}

const (
	partOne = `{"scanned":3,"redriven":1,"already":1,"failed":1,"failures":[{"id":"x","reason":"gone"}],"next":"t/0:3"}`
	partTwo = `{"scanned":2,"redriven":2,"dropped":0,"already":0,"failed":0}`
)

func TestManyDeadLettersAreDecidedAboutUntilThereIsNoNextPart(t *testing.T) {
	c, asked := parts(t, partOne, partTwo)
	var seen []int
	n, err := c.DecideDeadLetters(t.Context(), Query{Function: "f", Where: "a = 'b'"}, false, LetterAction{Action: event.Redrive, Version: "v2"}, func(n LetterTally) { seen = append(seen, n.Scanned) })
	if err != nil || n.Scanned != 5 || n.Redriven != 3 || n.Already != 1 || n.Failed != 1 || len(n.Failures) != 1 || !slices.Equal(seen, []int{3}) {
		t.Errorf("%+v, %v, progress %v", n, err, seen)
	}
	want := []string{
		`POST /api/v1/deadletters/redrive?function=f&where=a+%3D+%27b%27 {"version":"v2"}`,
		`POST /api/v1/deadletters/redrive?cursor=t%2F0%3A3&function=f&where=a+%3D+%27b%27 {"version":"v2"}`,
	}
	if !slices.Equal(*asked, want) {
		t.Errorf("asked %q\nwant  %q", *asked, want)
	}
}

func TestALimitHoldsOverAllParts(t *testing.T) {
	c, asked := parts(t, partOne, partTwo)
	if n, err := c.DecideDeadLetters(t.Context(), Query{Limit: 5}, true, LetterAction{Action: event.Drop, DryRun: true}, nil); err != nil || n.Scanned != 5 || !n.DryRun {
		t.Errorf("%+v, %v", n, err)
	}
	want := []string{`POST /api/v1/deadletters/drop?all=true&dryRun=true&limit=5 `, `POST /api/v1/deadletters/drop?all=true&cursor=t%2F0%3A3&dryRun=true&limit=2 `}
	if !slices.Equal(*asked, want) {
		t.Errorf("asked %q\nwant  %q", *asked, want)
	}
	c, asked = parts(t, partOne)
	if _, err := c.DecideDeadLetters(t.Context(), Query{Limit: 3}, true, LetterAction{Action: event.Drop}, nil); err != nil || len(*asked) != 1 {
		t.Errorf("%v, asked %q", err, *asked)
	}
}

func TestWhatWasDoneBeforeAFaultIsTold(t *testing.T) {
	c, _ := parts(t, partOne)
	if n, err := c.DecideDeadLetters(t.Context(), Query{}, true, LetterAction{Action: event.Redrive}, nil); err == nil || n.Redriven != 1 {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestOneDeadLetterIsRedrivenWithAnotherEvent(t *testing.T) {
	c, asked := parts(t, `{"id":"1-2-x","state":"redriven","already":true}`)
	e := &event.Event{ID: "1", Source: "/s", Type: "t"}
	d, err := c.DecideDeadLetter(t.Context(), "1-2-x", LetterAction{Action: event.Redrive, Event: e})
	if err != nil || !d.Already || d.State != "redriven" {
		t.Errorf("%+v, %v", d, err)
	}
	in, _ := json.Marshal(map[string]json.RawMessage{"event": e.AppendJSON(nil)})
	if want := "POST /api/v1/deadletters/1-2-x/redrive " + string(in); (*asked)[0] != want {
		t.Errorf("asked %s\nwant  %s", (*asked)[0], want)
	}
}
