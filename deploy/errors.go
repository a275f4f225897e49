package deploy

import "errors"

var (
	// ErrNoEngine: neither podman nor docker is to be found.
	ErrNoEngine = errors.New("no container engine: install docker or podman, or name one")
	// ErrUnknownLanguage: nothing in the directory says how to build it.
	ErrUnknownLanguage = errors.New("nothing says how to build it: want a Dockerfile, go.mod, package.json, requirements.txt or .py files")
)
