package webhook

import (
	"crypto/hmac"
	"crypto/sha1" // #nosec G505 -- Twilio, and GitHub's older signature, are HMAC-SHA1
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"math"
	"strconv"
	"time"
)

// verifier checks one request by any of the secrets. It looks at raw bytes
// only, before anything is parsed. It returns nil or a *Refusal.
type verifier func(r *Request, secrets [][]byte) error

// tagged is a keyed hash of parts in a row.
func tagged(algorithm func() hash.Hash, key []byte, parts ...[]byte) []byte {
	m := hmac.New(algorithm, key)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

// anySecret reports whether one of the secrets gives one of the signatures. It
// tries all of them whatever it finds, so that its time tells nothing.
func anySecret(secrets, signatures [][]byte, of func(secret []byte) []byte) bool {
	ok := 0
	for _, s := range secrets {
		want := of(s)
		if len(want) == 0 {
			continue // a secret that is no key: an empty signature must not equal it
		}
		for _, got := range signatures {
			ok |= subtle.ConstantTimeCompare(want, got)
		}
	}
	return ok == 1
}

// equalsAny compares a token with every secret. Hashes are compared, so that
// not even the length of a secret shows.
func equalsAny(secrets [][]byte, token string) bool {
	got := sha256.Sum256([]byte(token))
	return anySecret(secrets, [][]byte{got[:]}, func(s []byte) []byte {
		want := sha256.Sum256(s)
		return want[:]
	})
}

var errSignature = &Refusal{Reason: Unverified, Detail: "the signature is wrong"}

// algorithms by their names in a manifest.
func algorithmOf(name string) func() hash.Hash {
	switch name {
	case "sha1":
		return sha1.New
	case "sha384":
		return sha512.New384
	case "sha512":
		return sha512.New
	}
	return sha256.New
}

// decoderOf reads a signature as it is encoded in a header.
func decoderOf(encoding string) func(string) ([]byte, error) {
	switch encoding {
	case "base64":
		return base64.StdEncoding.Strict().DecodeString
	case "base64url":
		return func(s string) ([]byte, error) {
			if len(s)%4 == 0 {
				return base64.URLEncoding.Strict().DecodeString(s)
			}
			return base64.RawURLEncoding.Strict().DecodeString(s)
		}
	}
	return hex.DecodeString
}

// checkTime refuses a time in Unix seconds that is too far from now.
func checkTime(header, value string, now time.Time, tolerance time.Duration) error {
	s, err := strconv.ParseInt(value, 10, 64)
	if err != nil || s < 0 || s > math.MaxInt32*1000 || value[0] == '+' {
		return refuse(Unverified, "header %s: the time is not in Unix seconds", header)
	}
	if d := now.Sub(time.Unix(s, 0)); d > tolerance || d < -tolerance {
		return refuse(Expired, "header %s: the time is more than %s from now", header, tolerance)
	}
	return nil
}
