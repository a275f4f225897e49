// Package settings is what a function finds in its environment: its variables
// and files, with the values of secrets in them.
package settings

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/signalbox-dev/signalbox/resource"
)

// Settings are the variables and files of a version of a function. They hold
// values of secrets: they are given to what runs the function and to nothing else.
type Settings struct {
	// Env are "name=value": SIGNALBOX_FUNCTION, SIGNALBOX_FUNCTION_VERSION and
	// SIGNALBOX_CONFIG, then those of the function, but for KubernetesSecrets.
	Env []string
	// Files are the function's mounts.
	Files []File
	// Secrets are the values of secrets among them, so that they can be masked in
	// what the function prints.
	Secrets [][]byte
	// Digest is another one when any of it is.
	Digest string
}

// File is a mounted file.
type File struct {
	// Path is absolute.
	Path string
	Data []byte
}

// Lookup finds a secret by its name, as secrets.Store does: the value must not be
// changed, and an error names no value.
type Lookup func(name string) ([]byte, error)

// Resolve makes the settings of fn. It fails when a secret is not there, and the error
// names all of those.
func Resolve(fn *resource.Function, lookup Lookup) (Settings, error) {
	config := []byte("{}")
	if len(fn.Spec.Config) > 0 {
		config, _ = json.Marshal(fn.Spec.Config) // raw messages that were read from JSON can be written again
	}
	s := Settings{Env: []string{
		"SIGNALBOX_FUNCTION=" + fn.Metadata.Name,
		"SIGNALBOX_FUNCTION_VERSION=" + fn.Spec.Version,
		"SIGNALBOX_CONFIG=" + string(config),
	}}
	var faults []error
	value := func(field, plain, secret string) string {
		if secret == "" {
			return plain
		}
		if lookup == nil {
			faults = append(faults, fmt.Errorf("%s: secret %s: this process has no secrets", field, secret))
			return ""
		}
		v, err := lookup(secret)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", field, err))
			return ""
		}
		s.Secrets = append(s.Secrets, v)
		return string(v)
	}
	for i := range fn.Spec.Env {
		if e := &fn.Spec.Env[i]; e.KubernetesSecret == nil {
			s.Env = append(s.Env, e.Name+"="+value("env "+e.Name, e.Value, e.Secret))
		}
	}
	for i := range fn.Spec.Mounts {
		m := &fn.Spec.Mounts[i]
		s.Files = append(s.Files, File{Path: m.Path, Data: []byte(value("mount "+m.Path, m.Value, m.Secret))})
	}
	if err := errors.Join(faults...); err != nil {
		return Settings{}, err
	}
	s.Digest = s.digest()
	return s, nil
}

func (s *Settings) digest() string {
	h := sha256.New()
	part := func(text string) {
		fmt.Fprintf(h, "%d:", len(text)) // lengths keep what follows one another apart
		_, _ = io.WriteString(h, text)
	}
	for _, v := range s.Env {
		part(v)
	}
	for _, f := range s.Files {
		part(f.Path)
		part(string(f.Data))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// SecretNames are those of the secrets that fn uses, so that who looks for changes can
// pass over all others; nil for most functions.
func SecretNames(fn *resource.Function) (names []string) {
	for i := range fn.Spec.Env {
		if name := fn.Spec.Env[i].Secret; name != "" {
			names = append(names, name)
		}
	}
	for i := range fn.Spec.Mounts {
		if name := fn.Spec.Mounts[i].Secret; name != "" {
			names = append(names, name)
		}
	}
	return names
}

// UsesSecrets reports whether fn has any.
func UsesSecrets(fn *resource.Function) bool { return len(SecretNames(fn)) > 0 }
