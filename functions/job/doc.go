// Package job runs functions that are jobs: one event starts one run, to its
// end, as a local process, a container or a Kubernetes Job. A Host answers for
// all of them over HTTP, as functions do: with a lease, and reports the end.
// DESIGN.md has its rules.
package job
