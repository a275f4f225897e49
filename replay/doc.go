// Package replay brings links what lies behind the live stream: what came
// while a link was paused, what a new link is to start from, and the replays
// that somebody asked for. It keeps a cursor for each of them and each
// partition of the log, and sends deliveries through the parked topics.
// DESIGN.md has its rules. It imports only event and resource.
package replay
