package engine

// The labels of containers that Signalbox makes.
const (
	LabelFunction = "signalbox.dev/function"
	LabelVersion  = "signalbox.dev/version"
	// LabelManagedBy has the value ManagedBy.
	LabelManagedBy = "signalbox.dev/managed-by"
	ManagedBy      = "signalbox"
	// LabelOwner is the id of who looks after the container; nobody else touches it.
	LabelOwner = "signalbox.dev/owner"
)
