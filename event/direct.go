package event

// The types of events that are for one function, which their subject names as
// name or name@version: no link decides about them.
const (
	// TypeManual is a run that somebody asked for.
	TypeManual = "signalbox.manual"
	// TypeSchedule is a run whose time has come.
	TypeSchedule = "signalbox.schedule"
)

// Direct says by which link e goes to the one function it is for, such as
// manual:thumbs, and to which, as name or name@version; both are "" when it is
// for no certain one.
func Direct(e *Event) (link, function string) {
	switch e.Type {
	case TypeManual:
		link = "manual:"
	case TypeSchedule:
		link = "schedule:"
	default:
		if function = CallTarget(e); function == "" {
			return "", ""
		}
		return "call:" + function, function
	}
	if e.Subject == "" {
		return "", ""
	}
	return link + e.Subject, e.Subject
}
