package problem

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

func TestEveryKindHasItsOwnSlugAndAStatus(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if k.Slug() == "" || seen[k.Slug()] || k.Title() == "" || k.Status() < 400 {
			t.Errorf("kind %d: slug %q, title %q, status %d", k, k.Slug(), k.Title(), k.Status())
		}
		seen[k.Slug()] = true
	}
}

func TestOverloadAndOutageSayWhenToComeAgain(t *testing.T) {
	for _, k := range Kinds() {
		var r fasthttp.Response
		New(k, "").WriteResponse(&r)
		want := k.Status() == 429 || k.Status() == 503
		if got := len(r.Header.Peek("Retry-After")) > 0; got != want {
			t.Errorf("%s: Retry-After is there: %t", k.Slug(), got)
		}
	}
}

func TestWhoKnowsWhenToComeAgainSaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"backlog":           {&RetryError{Err: ErrBacklog, After: 41500 * time.Millisecond}, "42"},
		"wrapped":           {fmt.Errorf("append: %w", &RetryError{Err: fmt.Errorf("away: %w", ErrUnavailable), After: 3 * time.Second}), "3"},
		"nobody knows":      {&RetryError{Err: ErrBacklog}, "1"},
		"nothing to repeat": {&RetryError{Err: ErrTooLarge, After: time.Minute}, ""},
	} {
		var r fasthttp.Response
		Of(c.err).WriteResponse(&r)
		if got := string(r.Header.Peek("Retry-After")); got != c.want {
			t.Errorf("%s: Retry-After %q, want %q", name, got, c.want)
		}
	}
}

func TestWhatNobodyForesawIsNotTold(t *testing.T) {
	secret := errors.New("password hunter2")
	p := Of(fmt.Errorf("dial: %w", secret))
	if p.Kind != Internal || p.Detail != "" || !errors.Is(p, secret) {
		t.Errorf("%+v", p)
	}
}
