// Package engine is a thin client of a container engine that speaks the Docker
// Engine API (1.41 or later): Docker, or Podman's socket. It connects when it is first
// needed, and again after the engine was away.
package engine
