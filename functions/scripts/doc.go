// Package scripts runs functions that are files of Python or JavaScript: for
// each event one after the other, in worker processes that stay warm. A Host
// answers for all of them over HTTP, as functions do. DESIGN.md has its rules.
package scripts
