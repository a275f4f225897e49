// Package api is the query and resource API below /api/v1: resources with
// optimistic locking, and what the log knows of events, runs and dead letters.
// Handlers return errors; gateway/problem decides the status.
package api
