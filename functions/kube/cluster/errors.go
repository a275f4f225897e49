package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ErrNoCluster: there is none to talk to. The error around it says what is missing.
var ErrNoCluster = errors.New("no Kubernetes cluster")

// NotFound reports whether the object is not there; where its kind is unknown
// too, see UnknownKind.
func NotFound(err error) bool { return apierrors.IsNotFound(err) }

// Conflict reports whether somebody else owns what was applied, or changed the
// object since it was read.
func Conflict(err error) bool { return apierrors.IsConflict(err) }

// Refused reports whether the same request is of no use again: the object is
// invalid, or we may not.
func Refused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsForbidden(err)
}

// expired reports whether a watch cannot go on from where it was.
func expired(err error) bool { return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) }

// Owned are the fields that a conflict is about, by the manager that owns them.
type Owned struct{ Manager, Field string }

// Conflicts lists what an apply found to be somebody else's; nil for every other error.
func Conflicts(err error) []Owned {
	status := apierrors.APIStatus(nil)
	if !apierrors.IsConflict(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var found []Owned
	for _, c := range status.Status().Details.Causes {
		if c.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		// The message is: conflict with "manager" [using version] [at time].
		_, rest, _ := strings.Cut(c.Message, `"`)
		manager, _, _ := strings.Cut(rest, `"`)
		found = append(found, Owned{Manager: manager, Field: c.Field})
	}
	return found
}

// about says what was asked of which kind. A kind that the server does not know
// is a thing that is not installed.
func about(what string, k Kind, namespace, name string, err error) error {
	if err == nil {
		return nil
	}
	if unknownKind(err) {
		return fmt.Errorf("%s: the cluster does not know %s: is what brings it installed? %w", what, k, err)
	}
	if name != "" {
		namespace += "/" + name
	}
	return fmt.Errorf("%s %s %s: %w", what, k, namespace, err)
}

// unknownKind reports whether the path was not found, rather than an object.
func unknownKind(err error) bool {
	status := apierrors.APIStatus(nil)
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	d := status.Status().Details
	return d == nil || d.Name == "" && slices.ContainsFunc(d.Causes, func(c metav1.StatusCause) bool { return c.Type == metav1.CauseTypeUnexpectedServerResponse })
}

// UnknownKind reports whether the cluster does not know a kind at all.
func UnknownKind(err error) bool { return unknownKind(err) }
