package event

import (
	"testing"
	"time"
)

func callEvent() *Event {
	e := &Event{ID: "7", Source: "/function/thumbs", Type: TypeInvoke, Data: []byte("x")}
	e.SetExtension(ExtCallTarget, "thumbs@v1")
	e.SetExtension(ExtCallbackURL, "https://shop.example/done?n=1")
	e.SetExtension(ExtCallPath, "/preview")
	return e
}

func TestACallIsForOneFunction(t *testing.T) {
	if link, fn := Direct(callEvent()); link != "call:thumbs@v1" || fn != "thumbs@v1" {
		t.Errorf("a call goes by %q to %q", link, fn)
	}
	if link, fn := Direct(&Event{Type: TypeManual, Subject: "f"}); link != "manual:f" || fn != "f" {
		t.Errorf("a manual run goes by %q to %q", link, fn)
	}
	if link, fn := Direct(&Event{Type: "com.example", Subject: "f"}); link != "" || fn != "" {
		t.Errorf("another event goes by %q to %q", link, fn)
	}
}

func TestACallIsMadeBelowItsFunction(t *testing.T) {
	for _, c := range []struct{ function, path, want string }{
		{"http://f:80", "", "http://f:80/"},
		{"http://f/base", "/a%2Fb/c", "http://f/base/a%2Fb/c"},
		{"http://f/base", "", "http://f/base"},
		{"http://f/a%2Fb/", "", "http://f/a%2Fb/"},
		{"http://f", "/a/", "http://f/a/"},
		{"http://f/base/", "/https://x//y/", "http://f/base/https://x//y/"},
		{"http://f/base/", "/\xc3\xbc", "http://f/base/%C3%BC"},
		{"http://f/base/?k=1", "?x=%20", "http://f/base/?k=1&x=%20"},
		{"http://f/?", "/a/?x=1?y", "http://f/a/?x=1?y"},
	} {
		got, err := CallURL(c.function, c.path)
		if err != nil || got.String() != c.want {
			t.Errorf("%s with %s: %s, %v: want %s", c.function, c.path, got, err, c.want)
		}
	}
	if _, err := CallURL("http://[", "/a"); err == nil {
		t.Error("no URL is taken for one")
	}
	if _, err := CallURL("http://f", "/%zz"); err == nil {
		t.Error("no path is taken for one")
	}
}

func TestWhatComesInCallsNobody(t *testing.T) {
	e := callEvent()
	StripReserved(e)
	if CallTarget(e) != "" || CallPath(e) != "" || WantsAnswer(e) || len(e.Extensions) != 0 {
		t.Errorf("left is %v", e.Extensions)
	}
	e = callEvent()
	e.Type = TypeAnswer
	StripReserved(e)
	if Callback(e) != "" {
		t.Error("an answer that came in has a callback")
	}
}

func TestAnAnswerKnowsItsCall(t *testing.T) {
	hop := Hop{Link: "call:thumbs@v1", Now: time.Unix(1, 0)}
	a := &Answer{Status: 200, ContentType: "image/png", Data: []byte("png"), MS: 12.5, Function: "thumbs@v1"}
	e := DeriveAnswer(callEvent(), a, 0, hop)
	for name, want := range map[string]string{ExtCallID: "7", ExtCallStatus: "200", ExtCallMS: "12.500", ExtCallbackURL: "https://shop.example/done?n=1", ExtCausationID: "7"} {
		if got, _ := e.Extension(name); got != want {
			t.Errorf("%s is %q: want %q", name, got, want)
		}
	}
	if Callback(e) == "" || WantsAnswer(e) || e.DataContentType != "image/png" || string(e.Data) != "png" {
		t.Errorf("got %+v", e)
	}
	ids := map[string]bool{e.ID: true}
	if DeriveAnswer(callEvent(), a, 0, hop).ID != e.ID {
		t.Error("a repeated delivery answers under another id")
	}
	a.Final = true
	for redrive := range 2 {
		failed := DeriveAnswer(callEvent(), a, redrive, hop)
		if ids[failed.ID] {
			t.Errorf("the failure of redrive %d has the id of another answer", redrive)
		}
		ids[failed.ID] = true
	}
}
