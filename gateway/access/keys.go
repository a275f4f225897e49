package access

import (
	"crypto/subtle"
	"sync/atomic"

	"github.com/signalbox-dev/signalbox/resource"
)

// keys are the keys in force, by name.
type keys struct {
	table   atomic.Pointer[map[string]*keyEntry]
	buckets *buckets
}

// keyEntry is one key.
type keyEntry struct {
	*credential
	hash     hash
	disabled bool
	uid      string
	revision uint64
}

// load swaps in all keys. One that has not changed keeps its credential, which
// connections know already.
func (k *keys) load(all []*resource.Key) {
	next := make(map[string]*keyEntry, len(all))
	var now map[string]*keyEntry
	if t := k.table.Load(); t != nil {
		now = *t
	}
	for _, key := range all {
		m := key.Metadata
		if have := now[m.Name]; have != nil && have.uid == m.UID && have.revision == m.Revision && m.Revision != 0 {
			next[m.Name] = have
			continue
		}
		h, ok := parseHash(key.Spec.Hash)
		if !ok {
			continue // a key without a hash is nobody's
		}
		e := &keyEntry{credential: ofKey(key), hash: h, disabled: key.Spec.Disabled, uid: m.UID, revision: m.Revision}
		e.bucket = k.buckets.of(Key, m.Name, key.Spec.Rate)
		next[m.Name] = e
	}
	k.table.Store(&next)
}

// find returns the key whose token has the hash. The name says which one it can
// be, and the hashes are compared in constant time.
func (k *keys) find(name []byte, h *hash) *keyEntry {
	t := k.table.Load()
	if t == nil {
		return nil
	}
	e := (*t)[string(name)]
	if e == nil || subtle.ConstantTimeCompare(e.hash[:], h[:]) != 1 {
		return nil
	}
	return e
}

// loaded reports whether keys were loaded at all.
func (k *keys) loaded() bool { return k.table.Load() != nil }

// inForce reports whether a credential is that of a key in force.
func (k *keys) inForce(c *credential) bool {
	t := k.table.Load()
	if t == nil {
		return false
	}
	e := (*t)[c.name]
	return e != nil && e.credential == c && !e.disabled
}
