package problem

import (
	"errors"
	"fmt"
	"testing"

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

func TestWhatNobodyForesawIsNotTold(t *testing.T) {
	secret := errors.New("password hunter2")
	p := Of(fmt.Errorf("dial: %w", secret))
	if p.Kind != Internal || p.Detail != "" || !errors.Is(p, secret) {
		t.Errorf("%+v", p)
	}
}
