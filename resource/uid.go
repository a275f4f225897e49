package resource

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// uidEncoding is that of a uid: 16 bytes as 26 letters and digits.
var uidEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewUID is the identity of a resource created at now: milliseconds since 1970
// in 48 bits, then 80 random bits. Later ones sort behind earlier ones.
func NewUID(now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	rand.Read(b[6:]) // never fails
	return uidEncoding.EncodeToString(b[:])
}

// Created is when the resource was created, as its UID says; false without one.
func (m *Metadata) Created() (time.Time, bool) {
	b, err := uidEncoding.DecodeString(m.UID)
	if err != nil || len(b) != 16 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b[:8]) >> 16)), true
}
