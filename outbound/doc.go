// Package outbound is what calls of functions present, as their specs say
// (resource.Call): signatures, tokens, and client certificates. Resources name
// secrets; their values are looked up here, and never leave by an error, a log
// line or the text of one.
package outbound
