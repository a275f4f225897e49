// Package child starts programs that do not outlive this process, with
// everything they start themselves, and cuts their output into lines.
package child
