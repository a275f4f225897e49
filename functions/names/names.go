// Package names names what a version of a function is called outside: in a
// cluster, where names and labels are short and plain.
package names

import (
	"crypto/pbkdf2"
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

// Seals remembers what Seal made last for each key. Its zero value is ready; it is
// for one goroutine.
type Seals struct{ last map[string]seal }

type seal struct{ digest, sealed string }

// rounds make trying out values cost ten milliseconds each.
const rounds = 50_000

// Seal turns a digest of values, some of which are secret, into what may stand
// where others read it: another one when the digest is, but slow to try out values
// by, and so short that many values have the same one. The key names what the digest is of.
func (s *Seals) Seal(key, digest string) string {
	if known, ok := s.last[key]; ok && known.digest == digest {
		return known.sealed
	}
	salt := sha256.Sum256([]byte(key))
	long, err := pbkdf2.Key(sha256.New, digest, salt[:], rounds, 16)
	if err != nil { // of the lengths, which are right
		long = salt[:]
	}
	if s.last == nil {
		s.last = map[string]seal{}
	}
	sealed := hex.EncodeToString(long[:4])
	s.last[key] = seal{digest, sealed}
	return sealed
}

// Keep forgets all keys but those that still are.
func (s *Seals) Keep(still func(key string) bool) {
	for key := range s.last {
		if !still(key) {
			delete(s.last, key)
		}
	}
}
