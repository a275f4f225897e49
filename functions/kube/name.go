package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/resource"
)

// id names one version of a function.
type id struct{ name, version string }

func idOf(fn *resource.Function) id { return id{fn.Metadata.Name, fn.Spec.Version} }

// String is name@version, or the name of what has none.
func (i id) String() string {
	if i.version == "" {
		return i.name
	}
	return resource.VersionName(i.name, i.version)
}

// place is an object's place in the cluster.
type place struct{ namespace, name string }

// The labels and annotations of what is ours.
const (
	labelManagedBy = "app.kubernetes.io/managed-by"
	labelOwner     = "signalbox.dev/managed-by"
	labelFunction  = "signalbox.dev/function"
	labelVersion   = "signalbox.dev/version"
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

// maxReadable leaves room for the hash, and for what Kubernetes and Knative put
// behind names: 63 characters are the limit of all.
const maxReadable = 38

// objectName is the name of all objects of a version: readable, and another one
// for each owner, function and version.
func objectName(owner string, which id) string {
	readable := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(which.name+"-"+which.version))
	if readable[0] < 'a' {
		readable = "f-" + readable // names of Services begin with a letter
	}
	readable = strings.TrimRight(readable[:min(len(readable), maxReadable)], "-")
	return readable + "-" + digest(owner, which.name, which.version)[:8]
}

// labelValue is s, or what a label's value can hold of it.
func labelValue(s string) string {
	if len(s) > 63 {
		s = s[:54] + "-" + digest(s)[:8]
	}
	return strings.TrimRight(s, "-_.")
}

// digest is the SHA-256 of parts, in hexadecimal digits.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// notReady is the error of a version that has no URL now.
type notReady struct {
	which  id
	reason string
}

func (e *notReady) Error() string {
	return "function " + e.which.String() + ": " + functions.ErrNotReady.Error() + ": " + e.reason
}
func (e *notReady) Unwrap() error { return functions.ErrNotReady }
