// Package names names what a version of a function is called outside: in a
// cluster, where names and labels are short and plain.
package names

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// The labels of what is ours.
const (
	LabelOwner    = "signalbox.dev/managed-by"
	LabelFunction = "signalbox.dev/function"
	LabelVersion  = "signalbox.dev/version"
)

// maxReadable leaves room for the hash, and for what Kubernetes and Knative put
// behind names: 63 characters are the limit of all.
const maxReadable = 38

// Object is the name of the objects of a version: readable, at most 49
// lower-case letters, digits and '-', beginning with a letter, and another one for each
// owner, function and version.
func Object(owner, function, version string) string {
	readable := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(function+"-"+version))
	if readable[0] < 'a' {
		readable = "f-" + readable
	}
	readable = strings.TrimRight(readable[:min(len(readable), maxReadable)], "-")
	return readable + "-" + Digest(owner, function, version)[:8]
}

// Label is s, or what a label's value can hold of it: 63 characters.
func Label(s string) string {
	if len(s) > 63 {
		s = s[:54] + "-" + Digest(s)[:8]
	}
	return strings.TrimRight(s, "-_.")
}

// Digest is the SHA-256 of parts, in hexadecimal digits.
func Digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}
