package kube

import (
	"github.com/signalbox-dev/signalbox/functions/board"
	"github.com/signalbox-dev/signalbox/functions/names"
)

// place is an object's place in the cluster.
type place struct{ namespace, name string }

// The labels and annotations of what is ours.
const (
	labelManagedBy = "app.kubernetes.io/managed-by"
	labelOwner     = names.LabelOwner
	labelFunction  = names.LabelFunction
	labelVersion   = names.LabelVersion
	// labelInstance is the name of all objects of a version; pods are selected by it.
	labelInstance = "signalbox.dev/instance"

	// noteName is the version's full name: labels hold 63 characters.
	noteName = "signalbox.dev/name"
	// noteSpec is a hash of all objects of the version as they should be.
	noteSpec = "signalbox.dev/spec"
	// noteRevision is the change of the function that the objects follow.
	noteRevision = "signalbox.dev/revision"
	// noteMaker tells functions of one name from one another, of which one was
	// deleted: revisions of another one are not comparable.
	noteMaker = "signalbox.dev/uid"
	// noteSettings is another one when the values of secrets are, so that pods are replaced.
	noteSettings = "signalbox.dev/settings"
	// noteAsked is when somebody last wanted a version that gets no events.
	noteAsked = "signalbox.dev/asked"
	// noteScaled is on what had an autoscaler of ours.
	noteScaled = "signalbox.dev/autoscaled"
)

// objectName is the name of all objects of a version.
func objectName(owner string, which board.ID) string {
	return names.Object(owner, which.Name, which.Version)
}
