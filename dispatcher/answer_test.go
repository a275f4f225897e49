package dispatcher

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/valyala/fasthttp"
)

// FuzzAnswer reads whatever a function may answer: no panic, no event that is
// not valid, nothing beyond the limits.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 503 X\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 429 X\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nce-id: %E2%82%AC\r\nce-source: /s\r\nce-type: t\r\nce-specversion: 1.0\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nContent-Type: application/cloudevents+json\r\nContent-Length: 59\r\n\r\n{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}   ",
		"HTTP/1.1 200 OK\r\nContent-Type: application/cloudevents-batch+json\r\nContent-Length: 4\r\n\r\n[{}]",
		"HTTP/1.1 103 Early Hints\r\n\r\n",
		"HTTP/1.1 999 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	cfg := DefaultConfig()
	cfg.MaxReplies = 3
	d := &Dispatcher{cfg: cfg}
	d.parts.defaults(cfg)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var resp fasthttp.Response
		if resp.ReadLimitBody(bufio.NewReader(bytes.NewReader(raw)), 1<<16) != nil {
			return
		}
		if fail := d.failure(&resp, nil); fail != nil && (fail.RetryAfter < 0 || fail.RetryAfter > cfg.MaxRetryAfter) {
			t.Errorf("Retry-After %s", fail.RetryAfter)
		}
		events, err := d.replies(&resp)
		if err != nil && len(events) > 0 || len(events) > cfg.MaxReplies {
			t.Errorf("%d events with error %v", len(events), err)
		}
		for _, ev := range events {
			if err := ev.Validate(); err != nil {
				t.Errorf("reply %+v: %v", ev, err)
			}
		}
	})
}
