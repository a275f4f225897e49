// Package dispatcher brings the events of the log to the functions that want
// them: it drops duplicates, has functions chosen, calls them from bounded
// lanes, repeats what failed, writes dead letters and appends the events that
// functions answer with. DESIGN.md says what must hold and why.
package dispatcher
