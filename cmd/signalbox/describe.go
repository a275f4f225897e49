package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/event"
)

// maxDescribed bounds the runs that a description looks at: the newest ones.
const maxDescribed = 1000

// lastRuns are the runs of a function in the last hour, at most maxDescribed.
func lastRuns(cmd *cobra.Command, c *client.Client, function, version string) ([]event.Run, error) {
	runs, err := c.Runs(cmd.Context(), client.Query{Function: function, Version: version, Limit: maxDescribed})
	begin := time.Now().Add(-time.Hour)
	return slices.DeleteFunc(runs, func(r event.Run) bool { return r.Time.Before(begin) }), err
}

// runSummary says how many there are, how many of the calls failed, and how long they took.
func runSummary(runs []event.Run) string {
	text := fmt.Sprint(len(runs))
	if len(runs) == maxDescribed {
		text = fmt.Sprintf("%d and more", maxDescribed)
	}
	var took []float64
	failed := 0
	for i := range runs {
		r := &runs[i]
		if r.Attempt == 0 || r.Outcome == event.Waiting {
			continue // there was no call
		}
		took = append(took, r.DurationMS)
		if r.Outcome == event.Retrying || r.Outcome == event.Dead {
			failed++
		}
	}
	if len(took) == 0 {
		return text
	}
	slices.Sort(took)
	at := func(share float64) float64 { return took[int(math.Ceil(share*float64(len(took))))-1] }
	return fmt.Sprintf("%s; %.1f %% of %d calls failed; calls took %.1f ms (median), %.1f ms (95 %%), %.1f ms (longest)",
		text, 100*float64(failed)/float64(len(took)), len(took), at(.5), at(.95), at(1))
}
