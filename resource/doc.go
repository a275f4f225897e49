// Package resource is the one model of everything that is configured: kinds,
// metadata, manifests (YAML or JSON), validation with the line, the field and
// what is allowed, and the typed set the other packages compile. A kind is one
// file. It is a leaf: it imports only the standard library and a YAML parser.
package resource
