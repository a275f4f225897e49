package artifacts

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Prefix is what every digest begins with.
const Prefix = "sha256:"

// hexLength is the length of what follows Prefix.
const hexLength = 64

// CheckDigest wants "sha256:" and 64 lower-case hexadecimal digits.
func CheckDigest(digest string) error {
	sum, ok := strings.CutPrefix(digest, Prefix)
	if _, err := hex.DecodeString(sum); !ok || err != nil || len(sum) != hexLength || strings.ToLower(sum) != sum {
		return fmt.Errorf("digest %.80q: want %s and %d hexadecimal digits", digest, Prefix, hexLength)
	}
	return nil
}

// sumOf is the hexadecimal part of a digest that was checked.
func sumOf(digest string) string { return strings.TrimPrefix(digest, Prefix) }

// Short is a digest as people are shown it.
func Short(digest string) string {
	if sum := sumOf(digest); len(sum) > 12 {
		return Prefix + sum[:12]
	}
	return digest
}
