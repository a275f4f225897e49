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

// reserved are all of them, and those of calls; nothing changes it.
var reserved = [...]string{
	ExtAuthType, ExtAuthID, ExtAuthClaims, ExtAuthScheme, ExtCauseAuthType, ExtCauseAuthID,
	ExtCallTarget, ExtCallbackURL, ExtCallPath, ExtCallID, ExtCallStatus, ExtCallMS,
}

// StripReserved removes what is not an event's to say of itself: who sent it, and
// whose call it is. The event is not shared yet. One that says nothing of it costs
// no more than a look at its extensions.
func StripReserved(e *Event) {
	for i := range e.Extensions {
		if IsReserved(e.Extensions[i].Name) {
			for _, name := range reserved {
				e.SetExtension(name, "")
			}
			return
		}
	}
}

// IsReserved reports whether only Signalbox sets an extension.
func IsReserved(name string) bool {
	if len(name) < 6 || name[0] != 'a' && name[0] != 'c' {
		return false
	}
	for _, p := range reserved {
		if name == p {
			return true
		}
	}
	return false
}

// inheritProvenance says on e, a reply to cause, who sent the chain's first event.
func inheritProvenance(e, cause *Event) {
	StripReserved(e)
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
