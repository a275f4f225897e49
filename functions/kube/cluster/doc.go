// Package cluster talks to a Kubernetes API server: apply, read, watch and
// delete, and no more than that. It connects at the first question, so that
// who has no cluster and asks for none is told of none.
package cluster
