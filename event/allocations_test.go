//go:build !race

package event

import "testing"

// TestHotPathsAllocateNoMore holds the number of allocations of what is done
// for every event or delivery.
func TestHotPathsAllocateNoMore(t *testing.T) {
	limits := map[string]float64{
		"ParseHTTP":        2, // the event, its buffer
		"FromMessage":      1, // the event
		"Message":          1, // the headers
		"Validate":         0,
		"AppendJSON":       0,
		"ParseJSON":        2, // the event, and the closure that reads its members
		"VisitHTTPHeaders": 0,
		"Run.Message":      2, // the headers, the buffer
		"AppendMessage":    0,
	}
	paths := hotPaths()
	for name, limit := range limits {
		if got := testing.AllocsPerRun(200, paths[name]); got > limit {
			t.Errorf("%s: %v allocations, want at most %v", name, got, limit)
		}
	}
}
