package event

// The types of events that are for one function, which their subject names as
// name or name@version: no link decides about them.
const (
	// TypeManual is a run that somebody asked for.
	TypeManual = "signalbox.manual"
	// TypeSchedule is a run whose time has come.
	TypeSchedule = "signalbox.schedule"
)

// DirectLink is the name of the link by which e goes to the one function it is
// for, such as manual:thumbs; "" when it is for no certain one.
func DirectLink(e *Event) string {
	switch {
	case e.Subject == "":
		return ""
	case e.Type == TypeManual:
		return "manual:" + e.Subject
	case e.Type == TypeSchedule:
		return "schedule:" + e.Subject
	}
	return ""
}
