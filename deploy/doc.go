// Package deploy makes container images of functions: of Go programs without any
// container engine, of others by Docker or Podman and a Dockerfile, which is
// generated where there is none.
package deploy
