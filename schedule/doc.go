// Package schedule runs functions at certain times: at each it appends an event
// that only the function gets. DESIGN.md has its rules.
package schedule
