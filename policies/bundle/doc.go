// Package bundle brings policies from OPA bundle servers: it fetches a bundle
// over HTTP, verifies its signature with OPA's own code, and makes Policy
// resources of its modules and documents.
package bundle
