package api

import (
	"encoding/json"

	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/resource"
)

// localNoStore marks a request whose answer holds a secret.
type localNoStore struct{}

// KeyStatus is the status of a key in the answer to its creation, and only there.
type KeyStatus struct {
	// Token is what the key's owner presents: Authorization: Bearer <token>.
	Token string `json:"token"`
}

// mint completes a key that has no hash: one that is there keeps its own, a new
// one gets that of a token made for it, which is returned.
func mint(o, before *resource.Object) string {
	var s resource.KeySpec
	if o.Kind != resource.KindKey || json.Unmarshal(o.Spec, &s) != nil || s.Hash != "" {
		return ""
	}
	token := ""
	var old resource.KeySpec
	if before != nil && json.Unmarshal(before.Spec, &old) == nil && old.Hash != "" {
		s.Hash = old.Hash
	} else {
		token, s.Hash = access.NewToken(o.Metadata.Name)
	}
	spec, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	o.Spec = spec
	return token
}

// showToken adds the token to a copy of the key that is answered.
func showToken(o *resource.Object, token string) {
	if b, err := json.Marshal(KeyStatus{Token: token}); err == nil {
		o.Status = b
	}
}
