package resource

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestReplayValidation(t *testing.T) {
	for spec, want := range map[string]string{
		`{"link":"l","from":"earliest"}`:                                           "",
		`{"link":"l","from":"2026-01-02T15:04:05Z","to":"2026-01-02T15:04:06.5Z"}`: "",
		`{"link":"l","from":"earliest","to":"2026-01-02T15:04:06Z","rate":2.5}`:    "",
		`{"from":"earliest"}`:                            "spec.link: missing",
		`{"link":"L","from":"earliest"}`:                 `spec.link: "L"`,
		`{"link":"l"}`:                                   "spec.from: missing",
		`{"link":"l","from":"latest"}`:                   `spec.from: "latest": want earliest, or a time`,
		`{"link":"l","from":"earliest","to":"tomorrow"}`: `spec.to: "tomorrow": want a time`,
		`{"link":"l","from":"2026-01-02T15:04:05Z","to":"2026-01-02T16:04:05+02:00"}`:     "spec.to: 2026-01-02T16:04:05+02:00: want a time after from",
		`{"link":"l","from":"earliest","rate":-1}`:                                        "spec.rate: -1",
		`{"link":"l","from":"2026-01-02T15:04:05Z","to":"2026-01-02T15:04:05Z","rate":1}`: "spec.to",
	} {
		o := object(KindReplay, "r", spec)
		got := o.Validate().Error()
		if !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%s: %q, want %q", spec, got, want)
		}
	}
}

func TestSetHoldsReplaysWithTheStatusOfTheirEnd(t *testing.T) {
	done := object(KindReplay, "b", `{"link":"l","from":"earliest"}`)
	done.Status = json.RawMessage(`{"state":"done","total":7}`)
	s, faults := NewSet(1, []Object{done, object(KindReplay, "a", `{"link":"l","from":"earliest"}`)})
	if len(faults) > 0 || len(s.Replays) != 2 || s.Replays[0].Status.Ended() || !s.Replays[1].Status.Ended() || s.Replays[1].Status.Total != 7 {
		t.Errorf("%+v, %v", s.Replays, faults)
	}
}

func TestTimesNeedNoQuotes(t *testing.T) {
	objects, err := Decode("m.yaml", []byte("apiVersion: signalbox.dev/v1\nkind: Replay\nmetadata: {name: r}\nspec: {link: l, from: 2026-01-02T15:04:05.25Z, to: \"2026-01-03T00:00:00+01:00\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var s ReplaySpec
	if err := json.Unmarshal(objects[0].Spec, &s); err != nil || s.From != "2026-01-02T15:04:05.25Z" || s.To != "2026-01-03T00:00:00+01:00" {
		t.Errorf("%+v, %v", s, err)
	}
}
