// Package ingest takes CloudEvents over HTTP: POST /events in binary,
// structured and batched mode, and the webhook handshake on OPTIONS /events.
// An event is answered 202 only after the log has it durably; a batch is
// accepted whole or refused whole.
package ingest
