package access

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/signalbox-dev/signalbox/resource"
)

// TokenPrefix begins the token of every key, so that one which leaks is found
// by whoever looks for such.
const TokenPrefix = "sbk_"

// hash is the SHA-256 of a whole token. Tokens are random (130 bits), so there is
// nothing to guess: a slow hash such as bcrypt, which is for passwords, would
// protect nothing more and let strangers spend our CPU.
type hash [sha256.Size]byte

// NewToken makes the token of the key of that name: sbk_<name>_<26 random
// characters>. hash is what spec.hash keeps of it.
func NewToken(name string) (token, hash string) {
	token = TokenPrefix + name + "_" + rand.Text()
	return token, HashOf(token)
}

// HashOf is the hash of a token as spec.hash has it.
func HashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return resource.HashPrefix + hex.EncodeToString(sum[:])
}

// tokenName is the name of the key that a token says it is of. Names have no '_'.
func tokenName(token []byte) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(token, []byte(TokenPrefix))
	if !ok {
		return nil, false
	}
	name, secret, ok := bytes.Cut(rest, []byte("_"))
	return name, ok && len(name) > 0 && len(secret) > 0
}

// parseHash reads spec.hash.
func parseHash(s string) (h hash, ok bool) {
	digits, ok := strings.CutPrefix(s, resource.HashPrefix)
	b, err := hex.DecodeString(digits)
	return h, ok && err == nil && copy(h[:], b) == len(h) && len(b) == len(h)
}
