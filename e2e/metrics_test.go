//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// duplicatesDropped counts the events that deduplication dropped.
const duplicatesDropped = `signalbox_events_dropped_total{reason="duplicate"}`

// metricAtLeast says whether a series of /metrics has reached n.
func (s *server) metricAtLeast(series string, n float64) error {
	s.t.Helper()
	resp, err := http.Get("http://" + s.addr + "/metrics")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), series+" "); ok {
			if got, err := strconv.ParseFloat(value, 64); err != nil || got < n {
				return fmt.Errorf("%s is %s, want %g", series, value, n)
			}
			return nil
		}
	}
	return fmt.Errorf("no series %s", series)
}
