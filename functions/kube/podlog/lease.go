package podlog

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
)

// noteRead is the annotation of a Lease that says how far each pod was read.
const noteRead = "signalbox.dev/read"

// microTime is how Kubernetes writes the times of a Lease.
const microTime = "2006-01-02T15:04:05.000000Z07:00"

// lease is the Lease of a version, as this process knows it.
type lease struct {
	// version is the object's, "" before it was seen; it has been that since the
	// time by this process's clock, so that no two clocks are compared.
	version string
	since   time.Time
	holder  string
	read    string
	// held is set while it is this process's.
	held bool
}

// observe notes how the object is.
func (l *lease) observe(o *cluster.Object, now time.Time) {
	if l.version != o.GetResourceVersion() {
		l.version, l.since = o.GetResourceVersion(), now
	}
	l.holder, _, _ = unstructured.NestedString(o.Object, "spec", "holderIdentity")
	l.read = o.GetAnnotations()[noteRead]
}

// free reports whether no other process than me holds it any more. Where it is
// mine, nobody took it while it could not be renewed.
func (l *lease) free(me string, now time.Time, lapse time.Duration) bool {
	return l.holder == "" || l.holder == me || now.Sub(l.since) >= lapse
}

// wanted is the Lease of a version, held by this process.
func (d *desk) wanted(v *Version) *cluster.Object {
	stamp := d.r.c.Now().UTC().Format(microTime)
	return &cluster.Object{Object: map[string]any{
		"apiVersion": cluster.Leases().APIVersion(), "kind": "Lease",
		"metadata": map[string]any{"name": v.Name, "namespace": v.Namespace, "labels": v.Labels, "ownerReferences": []any{v.Owner}},
		"spec": map[string]any{
			"holderIdentity": d.r.holder, "leaseDurationSeconds": max(int64(d.r.c.Lapse/time.Second), 1), "acquireTime": stamp, "renewTime": stamp,
		},
	}}
}

// write renews a Lease by holder, "" gives it back. That somebody else changed it
// since it was seen is a conflict.
func (d *desk) write(s *shift, holder any) error {
	l := &s.lease
	patch := map[string]any{
		"metadata": map[string]any{"resourceVersion": l.version, "annotations": map[string]any{noteRead: writeMarks(s.marksNow())}},
		"spec":     map[string]any{"holderIdentity": holder, "renewTime": d.r.c.Now().UTC().Format(microTime)},
	}
	got, err := d.r.c.Cluster.Merge(d.ctx, cluster.Leases(), s.v.Namespace, s.v.Name, patch)
	if err != nil {
		return err
	}
	l.observe(got, d.r.c.Now())
	return nil
}
