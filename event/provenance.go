package event

// The extensions that say who sent an event. The first three are those of the
// CloudEvents extension "Auth Context"; the scheme says how that was verified.
// Only a gateway sets them: it drops what comes in under these names, and so
// does Derive with what functions answer.
const (
	ExtAuthType   = "authtype"
	ExtAuthID     = "authid"
	ExtAuthClaims = "authclaims"
	ExtAuthScheme = "authscheme"
	// ExtCauseAuthType and ExtCauseAuthID say who sent the first event of a chain:
	// the cause of the event, not its sender.
	ExtCauseAuthType = "causeauthtype"
	ExtCauseAuthID   = "causeauthid"
)

// provenance are all of them; nothing changes it.
var provenance = [...]string{ExtAuthType, ExtAuthID, ExtAuthClaims, ExtAuthScheme, ExtCauseAuthType, ExtCauseAuthID}

// StripProvenance removes what an event that is not shared yet says of its
// sender. One that says nothing costs no more than a look at its extensions.
func StripProvenance(e *Event) {
	for i := range e.Extensions {
		if IsProvenance(e.Extensions[i].Name) {
			for _, name := range provenance {
				e.SetExtension(name, "")
			}
			return
		}
	}
}

// IsProvenance reports whether an extension says who sent an event.
func IsProvenance(name string) bool {
	if len(name) < 6 || name[0] != 'a' && name[0] != 'c' {
		return false
	}
	for _, p := range provenance {
		if name == p {
			return true
		}
	}
	return false
}

// inheritProvenance says on e, a reply to cause, who sent the chain's first event.
func inheritProvenance(e, cause *Event) {
	StripProvenance(e)
	for _, x := range [...]struct{ of, inherited string }{{ExtAuthType, ExtCauseAuthType}, {ExtAuthID, ExtCauseAuthID}} {
		v, ok := cause.Extension(x.inherited)
		if !ok {
			v, _ = cause.Extension(x.of)
		}
		if v != "" {
			e.SetExtension(x.inherited, v)
		}
	}
}
