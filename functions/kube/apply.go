package kube

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
)

// apply makes the objects of v what they should be. The primary one says of which
// spec all are only once the others are there, so that an apply that was
// interrupted is not taken for one that is done.
func (k *keeper) apply(v *version) error {
	c, o := k.r.c.Cluster, v.objects
	there, err := c.Get(k.ctx, o.kind, v.at.namespace, v.at.name)
	switch {
	case err == nil:
		if done, err := k.upToDate(v, there); done || err != nil {
			return err
		}
	case !cluster.NotFound(err) || cluster.UnknownKind(err):
		return err
	default:
		there = nil
	}
	if err := k.applySecret(v, there); err != nil { // pods that start now want it
		return err
	}
	if there == nil {
		if there, err = k.applyPrimary(v, nil, unfinished(o.primary)); err != nil {
			return err
		}
		if err := k.applySecret(v, there); err != nil { // only now there is something that can own it
			return err
		}
	}
	if err := k.applyRest(v, there); err != nil {
		return err
	}
	if _, err := k.applyPrimary(v, there, o.primary); err != nil {
		return err
	}
	level := slog.LevelInfo
	if v.applied == o.spec {
		level = slog.LevelDebug // to make sure
	}
	k.r.c.Log.Log(k.ctx, level, "function applied in the cluster", "function", v.id.String(), "object", o.kind.Name+" "+v.at.namespace+"/"+v.at.name)
	if !v.used {
		k.note(v)
	}
	return nil
}

// unfinished is a primary object without the note that all are applied.
func unfinished(primary tree) tree {
	o := (&cluster.Object{Object: primary}).DeepCopy()
	notes := o.GetAnnotations()
	delete(notes, noteSpec)
	o.SetAnnotations(notes)
	return o.Object
}

// upToDate reports whether nothing is to be applied: another process has done
// so, or knows a later change of the function. Objects of others are an error.
func (k *keeper) upToDate(v *version, there *cluster.Object) (bool, error) {
	switch {
	case there.GetLabels()[labelOwner] != k.r.c.Owner:
		return false, fmt.Errorf("%s %s/%s: %w", v.objects.kind, v.at.namespace, v.at.name, errForeign)
	case there.GetDeletionTimestamp() != nil:
		return false, fmt.Errorf("%s %s/%s is being removed", v.objects.kind, v.at.namespace, v.at.name)
	}
	notes := there.GetAnnotations()
	revision, _ := strconv.ParseUint(notes[noteRevision], 10, 64)
	if revision > v.fn.Metadata.Revision && notes[noteMaker] == maker(v.fn.Metadata.UID) {
		return true, nil
	}
	// When it is time to make sure, what seems to be there is applied all the same.
	return notes[noteSpec] == v.objects.spec && v.applied != v.objects.spec, nil
}

// owned is o, to end with the primary object.
func owned(o tree, primary *cluster.Object) *cluster.Object {
	if primary == nil {
		return &cluster.Object{Object: o}
	}
	o, meta := maps.Clone(o), maps.Clone(o["metadata"].(tree))
	meta["ownerReferences"] = []any{ownedBy(primary)}
	o["metadata"] = meta
	return &cluster.Object{Object: o}
}

// applySecret says nothing of what the API server says, which may hold values.
func (k *keeper) applySecret(v *version, primary *cluster.Object) error {
	if v.objects.secret == nil {
		return nil
	}
	_, err := k.r.c.Cluster.Apply(k.ctx, cluster.Secrets(), owned(v.objects.secret, primary), true)
	if err == nil || unreachable(err) {
		return err
	}
	return fmt.Errorf("apply secrets %s/%s: %s", v.at.namespace, v.at.name, apierrors.ReasonForError(err))
}

// applyPrimary leaves the number of replicas to whoever sets it beside us, an
// autoscaler; other fields of ours that somebody changed are taken back.
func (k *keeper) applyPrimary(v *version, there *cluster.Object, primary tree) (*cluster.Object, error) {
	c, o := k.r.c.Cluster, &cluster.Object{Object: primary}
	got, err := c.Apply(k.ctx, v.objects.kind, o, false)
	others := cluster.Conflicts(err)
	if len(others) == 0 {
		return got, err
	}
	scaledByUs := there != nil && there.GetAnnotations()[noteScaled] != "" && v.objects.scaler == nil
	isReplicas := func(c cluster.Owned) bool { return c.Field == ".spec.replicas" }
	if slices.ContainsFunc(others, isReplicas) && !scaledByUs {
		o = o.DeepCopy()
		delete(o.Object["spec"].(tree), "replicas")
		others = slices.DeleteFunc(others, isReplicas)
	}
	if len(others) > 0 {
		k.r.c.Log.Warn("fields of a function's object were changed by others and are taken back", "function", v.id.String(), "fields", fmt.Sprint(others))
	}
	return c.Apply(k.ctx, v.objects.kind, o, true)
}

// applyRest applies what stands beside the primary object, and removes what does so no more.
func (k *keeper) applyRest(v *version, primary *cluster.Object) error {
	c := k.r.c.Cluster
	for _, rest := range []struct {
		kind cluster.Kind
		o    tree
	}{{cluster.Services(), v.objects.service}, {cluster.Autoscalers(), v.objects.scaler}} {
		if rest.o == nil {
			continue
		}
		if _, err := c.Apply(k.ctx, rest.kind, owned(rest.o, primary), true); err != nil {
			return err
		}
	}
	if v.objects.secret == nil {
		if err := c.Delete(k.ctx, cluster.Secrets(), v.at.namespace, v.at.name, ""); err != nil {
			return err
		}
	}
	if v.objects.scaler == nil && v.objects.kind == cluster.Deployments() {
		return c.Delete(k.ctx, cluster.Autoscalers(), v.at.namespace, v.at.name, "")
	}
	return nil
}
