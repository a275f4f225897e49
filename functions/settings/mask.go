package settings

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// Masked is what stands in place of a secret.
const Masked = "***"

// minMasked is the shortest value in bytes that is masked: shorter ones would
// take words apart, and are no secrets.
const minMasked = 6

// Mask hides the values of secrets in text. Nil hides nothing. It is safe for
// concurrent use.
type Mask struct{ replacer *strings.Replacer }

// NewMask makes a mask of the values of at least six bytes, each as it is and as
// it stands in a JSON string; of one with several lines, each line counts for
// itself, since output is passed on line by line.
func NewMask(values [][]byte) *Mask {
	var forms []string
	add := func(b []byte) {
		b = bytes.TrimSpace(b)
		if len(b) < minMasked {
			return
		}
		forms = append(forms, string(b))
		if quoted, err := json.Marshal(string(b)); err == nil && len(quoted) != len(b)+2 {
			forms = append(forms, string(quoted[1:len(quoted)-1]))
		}
	}
	for _, v := range values {
		add(v)
		if bytes.ContainsAny(bytes.TrimSpace(v), "\r\n") {
			for line := range bytes.Lines(v) {
				add(line)
			}
		}
	}
	if len(forms) == 0 {
		return nil
	}
	// The longest first: one may be the beginning of another.
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	pairs := make([]string, 0, 2*len(forms))
	for _, f := range slices.Compact(forms) {
		pairs = append(pairs, f, Masked)
	}
	return &Mask{strings.NewReplacer(pairs...)}
}

// String is s without the secrets.
func (m *Mask) String(s string) string {
	if m == nil {
		return s
	}
	return m.replacer.Replace(s)
}
