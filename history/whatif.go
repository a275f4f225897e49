package history

import (
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// WhatIf asks what another set of links and policies would have made of the
// events that are recorded.
type WhatIf struct {
	// Objects are written over what is in force, Remove are taken out of it.
	Objects []resource.Object
	Remove  []ResourceName
	// Since is included, Until is not; both are the log's time. Zero is the
	// oldest event, and the time of the first request.
	Since, Until time.Time
	// Where is a CESQL expression over the event; "" is every one.
	Where string
	// Limit bounds the events that are compared; 0 is no bound.
	Limit int
	// Examples are those of each difference, at most.
	Examples int
	// Cursor is Next of the answer before.
	Cursor string
}

// ResourceName names one resource.
type ResourceName struct{ Kind, Name string }

// WhatIfAnswer is what was found in one part of the log.
type WhatIfAnswer struct {
	// Revision is that of the resources in force.
	Revision uint64 `json:"revision"`
	// Events is how many were compared, Changed for how many of them some link
	// newly fires or stops firing.
	Events  int64 `json:"events"`
	Changed int64 `json:"changed"`
	// Functions, Links and Versions (name@version, where events are split between
	// versions) are sorted by name; those that no event of the part got are left out.
	Functions []Difference `json:"functions"`
	Links     []Difference `json:"links"`
	Versions  []Difference `json:"versions,omitempty"`
	// FailedBefore and FailedAfter count events that no policy could decide about.
	FailedBefore int64           `json:"failedBefore"`
	FailedAfter  int64           `json:"failedAfter"`
	Failures     []WhatIfFailure `json:"failures,omitempty"`
	// Next is the cursor of the next part; "" when all was looked at.
	Next string `json:"next,omitempty"`
}

// Difference says of one function or link how many events it got, gets, gets
// newly, and gets no more.
type Difference struct {
	Name   string `json:"name"`
	Before int64  `json:"before"`
	After  int64  `json:"after"`
	Newly  int64  `json:"newly"`
	Stops  int64  `json:"stops"`
	// Examples are some of the events of Newly and Stops.
	Examples []WhatIfExample `json:"examples,omitempty"`
}

// WhatIfExample is an event for which something changes.
type WhatIfExample struct {
	// Change is newly or stops.
	Change   string `json:"change"`
	Source   string `json:"source"`
	ID       string `json:"id"`
	Type     string `json:"type"`
	Position string `json:"position"`
	// Link is by which it fires, or fired.
	Link string `json:"link"`
	// Before and After say of the link why it fires or not; "" where nobody looked.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// The values of WhatIfExample.Change.
const (
	Newly = "newly"
	Stops = "stops"
)

// WhatIfFailure is an event that the policies could not decide about.
type WhatIfFailure struct {
	// When is before or after.
	When     string `json:"when"`
	Source   string `json:"source"`
	ID       string `json:"id"`
	Type     string `json:"type"`
	Position string `json:"position"`
	Error    string `json:"error"`
}
