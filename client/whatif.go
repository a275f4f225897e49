package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/history"
	"github.com/signalbox-dev/signalbox/resource"
)

// WhatIf asks what other links and policies would have made of recorded events.
type WhatIf struct {
	// Objects are written over what is in force, as by Apply; Remove are taken
	// out, as Kind/name.
	Objects []resource.Object
	Remove  []string
	// Since is included, Until is not; zero is the oldest event, and now.
	Since, Until time.Time
	// Where is a CESQL expression over the event.
	Where string
	// Limit bounds the events that are compared; 0 is no bound.
	Limit int
	// Examples are those of each difference at most, up to 20.
	Examples int
}

// WhatIfAnswer is the sum of all parts.
type WhatIfAnswer = history.WhatIfAnswer

// whatIfPatience is how long a server that is busy is asked again.
const whatIfPatience = time.Minute

// WhatIf asks part by part and adds up. progress, unless nil, is called after
// each part but the last. Resources that change meanwhile are an error: begin again.
func (c *Client) WhatIf(ctx context.Context, q WhatIf, progress func(WhatIfAnswer)) (WhatIfAnswer, error) {
	var sum WhatIfAnswer
	sums := [3]map[string]*history.Difference{{}, {}, {}}
	limit, cursor := q.Limit, ""
	for {
		if q.Limit > 0 {
			limit = q.Limit - int(sum.Events)
		}
		part, err := c.whatIfPart(ctx, &q, limit, cursor)
		if err != nil {
			return sum, err
		}
		sum.Revision = part.Revision
		sum.Events += part.Events
		sum.Changed += part.Changed
		sum.FailedBefore += part.FailedBefore
		sum.FailedAfter += part.FailedAfter
		sum.Failures = append(sum.Failures, part.Failures[:min(len(part.Failures), max(0, 10-len(sum.Failures)))]...)
		for i, more := range [][]history.Difference{part.Functions, part.Links, part.Versions} {
			addDifferences(sums[i], more, q.Examples)
		}
		sum.Functions, sum.Links, sum.Versions = byName(sums[0]), byName(sums[1]), byName(sums[2])
		if cursor = part.Next; cursor == "" || q.Limit > 0 && sum.Events >= int64(q.Limit) {
			return sum, nil
		}
		if progress != nil {
			progress(sum)
		}
	}
}

// whatIfPart asks for one part, again and again while the server is busy.
func (c *Client) whatIfPart(ctx context.Context, q *WhatIf, limit int, cursor string) (out WhatIfAnswer, err error) {
	in := map[string]any{"examples": q.Examples, "where": q.Where, "limit": limit, "cursor": cursor, "remove": append([]string{}, q.Remove...)}
	if len(q.Objects) > 0 {
		in["objects"] = q.Objects
	}
	if !q.Since.IsZero() {
		in["since"] = q.Since.Format(time.RFC3339Nano)
	}
	if !q.Until.IsZero() {
		in["until"] = q.Until.Format(time.RFC3339Nano)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	for until := time.Now().Add(whatIfPatience); ; {
		err = c.call(ctx, request{
			method: http.MethodPost, path: "/api/v1/whatif",
			header: http.Header{"Content-Type": {"application/json"}}, body: body,
		}, &out)
		var p *Problem
		if err == nil || !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable || time.Now().After(until) {
			return out, err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
}

// addDifferences adds rows by name, with so many examples of each change.
func addDifferences(sum map[string]*history.Difference, more []history.Difference, examples int) {
	for _, d := range more {
		s := sum[d.Name]
		if s == nil {
			s = &history.Difference{Name: d.Name}
			sum[d.Name] = s
		}
		s.Before += d.Before
		s.After += d.After
		s.Newly += d.Newly
		s.Stops += d.Stops
		for _, x := range d.Examples {
			have := 0
			for _, y := range s.Examples {
				if y.Change == x.Change {
					have++
				}
			}
			if have < examples {
				s.Examples = append(s.Examples, x)
			}
		}
	}
}

func byName(m map[string]*history.Difference) []history.Difference {
	out := make([]history.Difference, 0, len(m))
	for _, d := range m {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b history.Difference) int { return strings.Compare(a.Name, b.Name) })
	return out
}
