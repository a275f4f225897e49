// Package wire reads the requests of a connection strictly (RFC 9112), beside
// the HTTP server: fasthttp takes much that two readers may read differently (bare
// line feeds, line feeds in chunk extensions, trailers that become header
// fields, several Hosts), and a proxy that reads it otherwise lets one request
// through as two. A Watch sees every byte before the server does, and passes on
// none beyond the first one that is not as it should be.
package wire
