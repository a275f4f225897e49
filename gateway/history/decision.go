package history

import (
	"strings"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// decisionKinds are all of them; nothing changes it.
var decisionKinds = []event.DecisionKind{
	event.DecidedAdmission, event.DecidedManagement, event.DecidedShadow, event.DecidedSchema, event.DecidedChoosing,
}

// ParseDecisionKind reads the parameter kind.
func ParseDecisionKind(s string) (event.DecisionKind, error) {
	names := make([]string, len(decisionKinds))
	for i, known := range decisionKinds {
		if s == string(known) {
			return known, nil
		}
		names[i] = string(known)
	}
	return "", problem.New(problem.InvalidQuery, "kind %q: want one of %s", clip(s), strings.Join(names, ", "))
}
