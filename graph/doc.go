// Package graph shows which types of events lead by which links to which
// functions, and what those emit: as declared by the resources, and as observed.
// From the graph it tells what is wrong (cycles, functions nothing leads to,
// types nobody listens to, links that lead nowhere), what a change adds to
// that, and what it reaches. It writes JSON, Mermaid and DOT. It is a leaf: it
// imports only package resource. All of it is deterministic.
package graph
