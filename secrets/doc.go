// Package secrets finds secrets by name. Resources name secrets and never hold
// them; the values come from a directory of files, as Kubernetes mounts them,
// or from the environment of the process.
package secrets
