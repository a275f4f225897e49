// Package subscribe serves the live stream: GET /subscribe as Server-Sent
// Events, or as a WebSocket on upgrade. One follower of the log feeds all
// subscribers; it is started with the first and stopped with the last. A
// subscriber that cannot keep up is cut off; it never holds up the log.
package subscribe
