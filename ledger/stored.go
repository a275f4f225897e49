package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/signalbox-dev/signalbox/resource"
)

// A stored document is `revision digest json`: the number is set inside Redis
// by the script that writes, which never has to read JSON; the JSON has no revision.

// fieldOf is the field of the documents hash and the key in the history.
func fieldOf(kind, name string) string { return kind + "/" + name }

// digestOf is the same for two objects that differ in no more than revision
// and time. A status counts, so that writing one is a change.
func digestOf(o *resource.Object) (string, error) {
	spec, err := canonical(o.Spec)
	if err != nil {
		return "", fmt.Errorf("%s/%s: spec: %w", o.Kind, o.Metadata.Name, err)
	}
	status, err := canonical(o.Status)
	if err != nil {
		return "", fmt.Errorf("%s/%s: status: %w", o.Kind, o.Metadata.Name, err)
	}
	b, err := json.Marshal([]any{o.APIVersion, spec, status, nonNil(o.Metadata.Labels), nonNil(o.Metadata.Annotations)})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16]), nil
}

func nonNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// canonical decodes JSON so that marshalling it again sorts keys and drops
// white space; numbers stay as they are written.
func canonical(raw json.RawMessage) (any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// encodeStored is the stored document of an object that has its revision already.
func encodeStored(o resource.Object) (string, error) {
	digest, err := digestOf(&o)
	if err != nil {
		return "", err
	}
	revision := o.Metadata.Revision
	o.Metadata.Revision = 0
	body, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	return strconv.FormatUint(revision, 10) + " " + digest + " " + string(body), nil
}

// cutStored separates the revision of a stored document from the rest.
func cutStored(s string) (revision uint64, rest string, err error) {
	n, rest, _ := strings.Cut(s, " ")
	revision, err = strconv.ParseUint(n, 10, 64)
	return revision, rest, err
}

// decodeStored reads a stored document.
func decodeStored(field, s string) (resource.Object, error) {
	var o resource.Object
	revision, rest, err := cutStored(s)
	if err == nil {
		_, body, _ := strings.Cut(rest, " ")
		err = json.Unmarshal([]byte(body), &o)
	}
	if err != nil {
		return o, fmt.Errorf("stored resource %s: %w", field, err)
	}
	o.Metadata.Revision = revision
	return o, nil
}
