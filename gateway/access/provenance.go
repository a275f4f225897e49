package access

import (
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// Webhook is how a third party is known: by the signature of its webhook.
const Webhook Kind = "webhook"

// OfWebhook is who a verified webhook is from: name is the webhook's, scheme how
// it was verified. It may emit, and nothing else.
func OfWebhook(name, scheme, address string) *Identity {
	return &Identity{
		credential: &credential{kind: Webhook, name: name, roles: []string{resource.RoleEmitter}, attributes: map[string]any{"scheme": scheme}},
		address:    address,
	}
}

// authTypes are what the extension Auth Context calls the kinds of identities.
var authTypes = map[Kind]string{Key: "api_key", JWT: "user", Certificate: "service_account"}

// Stamp says on an event who sent it; of somebody unknown it says nothing. The
// event is not shared yet.
func (i *Identity) Stamp(e *event.Event) {
	authType := authTypes[i.Kind()]
	if authType == "" {
		return
	}
	e.SetExtension(event.ExtAuthType, authType)
	e.SetExtension(event.ExtAuthID, i.Name())
	e.SetExtension(event.ExtAuthScheme, string(i.Kind()))
}
