// Package container runs functions that are images in containers of an engine
// on this machine: as many as there are calls for, none when there are none. See DESIGN.md.
package container
