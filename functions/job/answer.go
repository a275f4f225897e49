package job

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

// answer is what a caller is told.
type answer struct {
	status int
	body   string
	// after is for Retry-After, lease for Signalbox-Lease; 0 is none.
	after, lease time.Duration
	// replies are the body of a success.
	replies []*event.Event
	run     string
}

// busy is the answer when nothing can be run now: no attempt is spent.
func busy(why string) answer {
	return answer{status: http.StatusServiceUnavailable, body: why, after: time.Second}
}

func (a answer) write(w http.ResponseWriter) {
	header := w.Header()
	if a.after > 0 {
		header.Set("Retry-After", seconds(a.after))
	}
	if a.lease > 0 {
		header.Set("Signalbox-Lease", a.lease.String())
	}
	if a.run != "" {
		header.Set("Signalbox-Run", a.run)
	}
	body := a.body
	switch {
	case len(a.replies) == 1:
		header.Set("Content-Type", event.ContentTypeJSON+"; charset=utf-8")
		body = string(a.replies[0].AppendJSON(nil))
	case len(a.replies) > 1:
		header.Set("Content-Type", event.ContentTypeBatch+"; charset=utf-8")
		body = string(event.AppendJSONBatch(nil, a.replies))
	case body != "":
		header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, body)
}

// seconds are whole ones, and at least one.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int((d+time.Second-1)/time.Second)))
}
