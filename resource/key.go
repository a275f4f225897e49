package resource

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// KindKey is an API key: who presents its token is known by the key's name.
const KindKey = "Key"

// The roles that have a meaning of their own. A key may have others, for
// policies to read.
const (
	// RoleEmitter may emit events.
	RoleEmitter = "emitter"
	// RoleViewer may read everything but keys.
	RoleViewer = "viewer"
	// RoleAuthor may read, write and act on everything but keys.
	RoleAuthor = "author"
	// RoleAdmin may do everything.
	RoleAdmin = "admin"
)

// HashPrefix is what the hash of a key's token begins with; 64 lower-case
// hexadecimal digits follow.
const HashPrefix = "sha256:"

// KeySpec says what a key may do. The token itself is never kept.
type KeySpec struct {
	// Hash is the SHA-256 of the key's whole token, as sha256:<hex>. Left out when
	// a key is added, the gateway makes a token and answers it, this once, in
	// status.token; left out later, it stays as it is.
	Hash string `json:"hash,omitempty"`
	// Roles are emitter, viewer, author, admin, or names that policies know.
	Roles []string `json:"roles"`
	// Expires is an RFC 3339 time from which on the key is refused; "" is never.
	Expires string `json:"expires,omitempty"`
	// Disabled keys are refused.
	Disabled bool `json:"disabled,omitempty"`
	// Sources and Types are those of the events that the key may emit, exact or a
	// prefix ending in '*'; none are all.
	Sources []string `json:"sources,omitempty"`
	Types   []string `json:"types,omitempty"`
	// Rate bounds the events per second that each gateway takes from the key; 0
	// is what the gateway bounds every identity to, else 0.001 to 1000000.
	Rate float64 `json:"rate,omitempty"`
}

// Key is a resource of kind Key.
type Key struct {
	Metadata Metadata
	Spec     KeySpec
}

// maxKeyName keeps tokens, which hold the name, short enough for any header.
const maxKeyName = 64

// ExpiresAt is Expires; false is never.
func (s *KeySpec) ExpiresAt() (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, s.Expires)
	return t, err == nil
}

func (s *KeySpec) validate(m Metadata) Faults {
	var f Faults
	if len(m.Name) > maxKeyName {
		f.add("metadata.name", "%d characters: want %d at most", len(m.Name), maxKeyName)
	}
	if m.Name == "root" {
		f.add("metadata.name", `"root": want another name, this one is the root key's`)
	}
	if s.Hash != "" && !validHash(s.Hash) {
		f.add("spec.hash", "not shown: want %s and 64 lower-case hexadecimal digits, or nothing", HashPrefix)
	}
	if len(s.Roles) == 0 {
		f.add("spec.roles", "empty: want one or more of emitter, viewer, author, admin, or names that policies know")
	}
	for i, r := range s.Roles {
		if len(r) > maxKeyName || !nameRE.MatchString(r) {
			f.add(index("spec.roles", i), "%q: want lower-case letters, digits, '-' and '.'", r)
		}
	}
	if _, ok := s.ExpiresAt(); s.Expires != "" && !ok {
		f.add("spec.expires", "%q: want a time such as 2027-01-02T15:04:05Z", s.Expires)
	}
	validateTypes(&f, "spec.sources", s.Sources)
	validateTypes(&f, "spec.types", s.Types)
	if s.Rate != 0 && (s.Rate < 0.001 || s.Rate > 1e6 || s.Rate != s.Rate) {
		f.add("spec.rate", "%v: want 0.001 to 1000000 events per second, or 0 for the gateway's own bound", s.Rate)
	}
	return f
}

func validHash(s string) bool {
	digits, ok := strings.CutPrefix(s, HashPrefix)
	b, err := hex.DecodeString(digits)
	return ok && err == nil && len(b) == 32 && digits == strings.ToLower(digits)
}

// addKey adds a key in its place by name.
func (s *Set) addKey(o *Object) error {
	v := &Key{Metadata: o.Metadata}
	if err := json.Unmarshal(o.Spec, &v.Spec); err != nil {
		return err
	}
	at, _ := slices.BinarySearchFunc(s.Keys, v.Metadata.Name, func(k *Key, name string) int { return strings.Compare(k.Metadata.Name, name) })
	s.Keys = slices.Insert(s.Keys, at, v)
	return nil
}
