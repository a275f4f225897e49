package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-dev/signalbox/history"
)

// explainView says how much of an explanation is printed.
type explainView struct {
	all, chain bool
}

// nearMisses is how many links that did not match are printed.
const nearMisses = 10

func newExplain() *cobra.Command {
	var source string
	var view explainView
	cmd := &cobra.Command{
		Use:     "explain ID",
		Short:   "Say for every link why it did or did not fire for an event, and what became of it",
		GroupID: "events",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&source, "source", "", "source of the event, when several have the id")
	cmd.Flags().BoolVar(&view.all, "all", false, "every link that did not match, not only the near misses")
	cmd.Flags().BoolVar(&view.chain, "chain", false, "the events it came from, and those that came of it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		ex, err := c.Explain(cmd.Context(), source, args[0])
		if err != nil {
			return err
		}
		return show(cmd, ex, func(w *tabwriter.Writer) { explainTable(w, &ex, view) })
	}
	return printer(remote(cmd))
}

func explainTable(w *tabwriter.Writer, ex *history.Explanation, view explainView) {
	if ex.Event != nil {
		fmt.Fprintln(w, eventLine(ex.Event))
	}
	fmt.Fprintf(w, "at %s in the log, by resources of revision %d%s\n", ex.Position, ex.Revision, known(ex.Known))
	for _, line := range facts(ex) {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintln(w)
	hidden := linkTable(w, ex.Links, view.all)
	if hidden > 0 {
		fmt.Fprintf(w, "%d other link(s) did not match: --all shows them\n", hidden)
	}
	chainLines(w, ex, view.chain)
	for _, d := range ex.Differences {
		fmt.Fprintf(w, "note: %s\n", d)
	}
}

// known says how sure the revision is, where that is not certain.
func known(how history.Known) string {
	switch how {
	case history.KnownEstimated:
		return " (estimated)"
	case history.KnownPresent:
		return " (those in force now)"
	}
	return ""
}

// facts are what is worth saying before the links.
func facts(ex *history.Explanation) (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if ex.State == history.StatePending {
		add("no dispatcher has come to it yet: %d event(s) before it", ex.Behind)
	}
	if ex.Dedup.Verdict == "duplicate" {
		add("dropped as a duplicate of the copy at %s", cmp.Or(ex.Dedup.First, "a place not known any more"))
	} else if n := len(ex.Dedup.Duplicates); n > 0 {
		places := make([]string, n)
		for i, d := range ex.Dedup.Duplicates {
			places[i] = d.Position
		}
		add("%d duplicate(s) dropped, at %s", n, strings.Join(places, ", "))
	}
	a := &ex.Admission
	if a.Via != "" && !strings.HasPrefix(a.Via, "posted without") {
		add("%s", a.Via)
	}
	for _, r := range a.Refused {
		add("refused at %s: %s", clock(r.Time), r.Reason)
	}
	if a.Asked && !a.Allowed {
		add("the admission policies of then would refuse it, asked again: %s", a.Reason)
	}
	if a.Now != nil && a.Now.Allowed {
		add("the admission policies in force would let it in")
	} else if a.Now != nil {
		add("the admission policies in force would refuse it: %s", a.Now.Reason)
	}
	if ex.Error != "" {
		add("nothing was chosen: %s", ex.Error)
	}
	for _, d := range ex.Letters {
		add("dead letter %s%s: %s", d.ID, ofLink(&d), letterState(&d))
	}
	return lines
}

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func ofLink(d *history.LetterRef) string {
	if d.Link == "" {
		return ""
	}
	return " of link " + d.Link
}

func letterState(d *history.LetterRef) string {
	if d.Decided.IsZero() {
		if d.Held {
			return string(d.State) + ", and its key waits for a decision"
		}
		return string(d.State)
	}
	return string(d.State) + " at " + clock(d.Decided)
}

// linkTable prints the links that matched and the near misses, or all; it
// returns how many it left out.
func linkTable(w io.Writer, links []history.Link, all bool) (hidden int) {
	row(w, "LINK", "FUNCTION", "MATCHED", "WHY", "OUTCOME")
	near := 0
	for i := range links {
		l := &links[i]
		if !l.Matched && len(l.Deliveries) == 0 && !all {
			if near++; near > nearMisses || l.Near >= history.NearNothing {
				hidden++
				continue
			}
		}
		row(w, l.Name, functionOf(l), yesNo(l.Matched), why(l), outcome(l))
	}
	return hidden
}

// functionOf is the function with the version that was called.
func functionOf(l *history.Link) string {
	if l.Version == "" || strings.Contains(l.Function, "@") {
		return l.Function
	}
	return l.Function + "@" + l.Version
}

func why(l *history.Link) string {
	s := l.Why
	if l.Revision > 0 {
		s += fmt.Sprintf(", by revision %d", l.Revision)
	}
	if l.Since != "" {
		s += " (" + l.Since + ")"
	}
	return s
}

// outcome sums up a link's deliveries by the last one.
func outcome(l *history.Link) string {
	if len(l.Deliveries) == 0 {
		return waiting(l.Waiting)
	}
	r := l.Deliveries[len(l.Deliveries)-1]
	s := string(r.Outcome)
	if r.Attempt > 0 {
		s += fmt.Sprintf(" after %d attempt(s)", r.Attempt)
	}
	if r.Reason != "" {
		s += ": " + r.Reason
	}
	if w := waiting(l.Waiting); w != "" {
		s += "; " + w
	}
	return s
}

// waiting says where a delivery is; "" where it is over.
func waiting(w *history.Waiting) string {
	switch {
	case w == nil:
		return ""
	case w.Where == "dispatcher":
		return "under way"
	}
	s := w.Where
	if !w.Since.IsZero() {
		s += " since " + clock(w.Since)
	}
	if !w.Next.IsZero() {
		s += ", next attempt " + clock(w.Next)
	}
	return s
}

// chainLines print the chain, or how much of one there is.
func chainLines(w io.Writer, ex *history.Explanation, full bool) {
	c := &ex.Chain
	causes, effects := len(c.Causes), len(c.Effects)
	if causes+effects == 0 {
		return
	}
	if !full {
		fmt.Fprintf(w, "%d event(s) before it in its chain, %d after it: --chain shows them\n", causes, effects)
		return
	}
	fmt.Fprintln(w)
	row(w, "CHAIN", "EVENT", "ID", "SOURCE", "LINK", "DELIVERIES")
	for i := causes - 1; i >= 0; i-- {
		chainRow(w, -c.Causes[i].Depth, &c.Causes[i])
	}
	if e := ex.Event; e != nil {
		row(w, "0", e.Type, e.ID, e.Source, "", "(this event)")
	}
	for i := range c.Effects {
		chainRow(w, c.Effects[i].Depth, &c.Effects[i])
	}
	if c.Cut != "" {
		fmt.Fprintln(w, c.Cut)
	}
}

func chainRow(w io.Writer, depth int, s *history.ChainStep) {
	row(w, fmt.Sprintf("%+d", depth), s.Type, s.ID, s.Source, s.Link, s.Outcome)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
