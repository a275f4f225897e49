package hooks

import (
	"strings"
	"sync"
	"time"
)

// tellEvery is how often refusals of one webhook are logged: whoever sets it up sees why it does not
// work, and strangers do not fill the log.
const tellEvery = 5 * time.Second

// maxTold bounds the reason in a line of the log, in bytes: it may repeat what the sender wrote.
const maxTold = 200

func clip(reason string) string {
	if len(reason) > maxTold {
		return strings.ToValidUTF8(reason[:maxTold], "") + "…"
	}
	return reason
}

// told knows of which webhooks a refusal was logged, and when. Its keys are names of webhooks in force or that
// were. The zero value knows none. It is safe for concurrent use.
type told struct {
	mu   sync.Mutex
	last map[string]*refusals
}

// refusals are those of one webhook: when one was logged, and how many were not since.
type refusals struct {
	logged time.Time
	silent int
}

// again reports whether a refusal is to be logged, and how many were not since the last that was.
func (t *told) again(name string, now time.Time) (silent int, tell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.last[name]
	if r == nil {
		if t.last == nil {
			t.last = map[string]*refusals{}
		}
		r = &refusals{logged: now.Add(-tellEvery)}
		t.last[name] = r
	}
	if now.Sub(r.logged) < tellEvery {
		r.silent++
		return 0, false
	}
	silent, r.silent, r.logged = r.silent, 0, now
	return silent, true
}
