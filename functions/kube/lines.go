package kube

import (
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/functions/kube/podlog"
)

// reading says which pods are read.
func (r *Runtime) reading() podlog.Config {
	c := podlog.DefaultConfig()
	c.Cluster, c.Selector, c.Instance, c.Container = r.c.Cluster, labelOwner+"="+r.c.Owner, labelInstance, containerName
	c.Process, c.Output, c.Log, c.Now = r.c.Process, r.c.Output, r.c.Log, r.c.Now
	return c
}

// tellReader says which versions there are in the cluster.
func (k *keeper) tellReader() {
	if k.r.reader == nil {
		return
	}
	var there []podlog.Version
	for _, v := range k.r.versions {
		if v.ref() || v.objects == nil {
			continue
		}
		if o := k.object(v); o != nil && o.GetLabels()[labelOwner] == k.r.c.Owner {
			there = append(there, podlog.Version{
				Function: v.id.Name, Version: v.id.Version, Namespace: v.at.namespace, Name: v.at.name,
				Labels: v.objects.labels, Owner: ownedBy(o), Mask: v.objects.mask,
			})
		}
	}
	k.r.reader.Set(there)
}

// ownedBy is the reference to a primary object of what ends with it.
func ownedBy(primary *cluster.Object) tree {
	return tree{"apiVersion": primary.GetAPIVersion(), "kind": primary.GetKind(), "name": primary.GetName(), "uid": string(primary.GetUID())}
}
