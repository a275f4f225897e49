package event

import (
	"errors"
	"testing"
)

func TestAMessageIsReadInItsMode(t *testing.T) {
	const one = `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`
	headers := map[string][]string{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"/s"}, "Ce-Type": {"t"}}
	for name, c := range map[string]struct {
		contentType, body string
		headers           map[string][]string
		want              int
		err               error
	}{
		"binary":         {"text/plain", "x", headers, 1, nil},
		"structured":     {"application/cloudevents+json; charset=utf-8", one, nil, 1, nil},
		"a batch":        {ContentTypeBatch, "[" + one + "," + one + "]", nil, 2, nil},
		"too long":       {ContentTypeBatch, "[" + one + "," + one + "," + one + "]", nil, 0, ErrBatchTooLong},
		"no event":       {"text/plain", "x", map[string][]string{"Accept": {"*/*"}}, 0, ErrNotEvent},
		"another format": {"application/cloudevents+avro", "x", nil, 0, ErrUnsupportedFormat},
	} {
		t.Run(name, func(t *testing.T) {
			events, err := Parse(c.contentType, Headers(c.headers), []byte(c.body), 2)
			if len(events) != c.want || !errors.Is(err, c.err) {
				t.Fatalf("%d events, error %v", len(events), err)
			}
			for _, e := range events {
				if e.ID != "1" || e.Type != "t" {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}
