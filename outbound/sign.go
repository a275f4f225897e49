package outbound

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"
)

// minKey is the shortest key of signatures, in bytes.
const minKey = 16

// signer signs by one key, a shared one or a private one.
type signer struct {
	macs    sync.Pool // of hash.Hash, ready to begin
	private ed25519.PrivateKey
}

// signer makes that of a secret: Standard Webhooks' whsec_ (a shared key) or
// whsk_ (a private one of Ed25519), each in base64. Without a prefix it is a shared key.
func (c *Callers) signer(name string) (*signer, error) {
	value, err := c.cfg.Secret(name)
	if err != nil {
		return nil, err
	}
	text := string(value)
	if encoded, private := strings.CutPrefix(text, "whsk_"); private {
		return privateSigner(name, encoded)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || len(key) < minKey {
		return nil, unusable("secret %s: want whsec_ and a key of at least %d bytes in base64", name, minKey)
	}
	s := &signer{}
	s.macs.New = func() any { return hmac.New(sha256.New, key) }
	return s, nil
}

func privateSigner(name, encoded string) (*signer, error) {
	key, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err == nil && len(key) == ed25519.PrivateKeySize:
		return &signer{private: key}, nil
	case err == nil && len(key) == ed25519.SeedSize:
		return &signer{private: ed25519.NewKeyFromSeed(key)}, nil
	}
	return nil, unusable("secret %s: want whsk_ and a private key of Ed25519 in base64", name)
}

// scratch is what signing writes to.
type scratch struct {
	head, list []byte
	sum        [sha256.Size]byte
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

// sign adds the three headers of Standard Webhooks, with a signature by each key.
func sign(signers []*signer, id, body []byte, at time.Time, add func(name string, value []byte)) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.head = s.head[:0]
	for _, b := range id {
		if b == '.' {
			b = '_'
		}
		s.head = append(s.head, b)
	}
	n := len(s.head)
	s.head = append(s.head, '.')
	s.head = strconv.AppendInt(s.head, at.Unix(), 10)
	s.head = append(s.head, '.')
	s.list = s.list[:0]
	for i, by := range signers {
		if i > 0 {
			s.list = append(s.list, ' ')
		}
		s.list = by.append(s.list, s, body)
	}
	add(headerID, s.head[:n])
	add(headerTimestamp, s.head[n+1:len(s.head)-1])
	add(headerSignature, s.list)
}

// append appends the signature of the head and the body.
func (by *signer) append(list []byte, s *scratch, body []byte) []byte {
	if by.private != nil {
		message := append(append(make([]byte, 0, len(s.head)+len(body)), s.head...), body...)
		return base64.StdEncoding.AppendEncode(append(list, "v1a,"...), ed25519.Sign(by.private, message))
	}
	mac := by.macs.Get().(hash.Hash)
	defer by.macs.Put(mac)
	mac.Reset()
	mac.Write(s.head)
	mac.Write(body)
	return base64.StdEncoding.AppendEncode(append(list, "v1,"...), mac.Sum(s.sum[:0]))
}
