package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// Object is what the API server stores.
type Object = unstructured.Unstructured

// kind is a resource of a namespace, with a context that ends in time.
func (c *Cluster) kind(ctx context.Context, k Kind, namespace string) (dynamic.ResourceInterface, context.Context, context.CancelFunc, error) {
	to, err := c.connect()
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.c.Timeout)
	return to.objects.Resource(k.resource()).Namespace(namespace), ctx, cancel, nil
}

// Apply makes the object in the cluster have what o says, by server-side apply
// as Manager; what others have set in it stays. A field that is unknown is an
// error. With force, fields that others own become ours; else they are a
// conflict (see Conflicts). An o with a resourceVersion is a conflict unless
// the object is still that.
func (c *Cluster) Apply(ctx context.Context, k Kind, o *Object, force bool) (*Object, error) {
	in, ctx, cancel, err := c.kind(ctx, k, o.GetNamespace())
	if err != nil {
		return nil, err
	}
	defer cancel()
	data, err := o.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("apply %s %s: %w", k, o.GetName(), err)
	}
	got, err := in.Patch(ctx, o.GetName(), types.ApplyPatchType, data,
		metav1.PatchOptions{FieldManager: Manager, Force: &force, FieldValidation: metav1.FieldValidationStrict})
	return got, about("apply", k, o.GetNamespace(), o.GetName(), err)
}

// Create makes an object; that it is there already is an error which
// apierrors.IsAlreadyExists tells.
func (c *Cluster) Create(ctx context.Context, k Kind, o *Object) (*Object, error) {
	in, ctx, cancel, err := c.kind(ctx, k, o.GetNamespace())
	if err != nil {
		return nil, err
	}
	defer cancel()
	got, err := in.Create(ctx, o, metav1.CreateOptions{FieldManager: Manager, FieldValidation: metav1.FieldValidationStrict})
	return got, about("create", k, o.GetNamespace(), o.GetName(), err)
}

// Annotate sets annotations of an object, and leaves everything else.
func (c *Cluster) Annotate(ctx context.Context, k Kind, namespace, name string, annotations map[string]string) (*Object, error) {
	return c.Merge(ctx, k, namespace, name, map[string]any{"metadata": map[string]any{"annotations": annotations}})
}

// Merge sets the fields of an object that patch has, and leaves everything else.
func (c *Cluster) Merge(ctx context.Context, k Kind, namespace, name string, patch map[string]any) (*Object, error) {
	in, ctx, cancel, err := c.kind(ctx, k, namespace)
	if err != nil {
		return nil, err
	}
	defer cancel()
	data, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("patch %s %s: %w", k, name, err)
	}
	got, err := in.Patch(ctx, name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: Manager + "-notes"})
	return got, about("patch", k, namespace, name, err)
}

// Get reads an object.
func (c *Cluster) Get(ctx context.Context, k Kind, namespace, name string) (*Object, error) {
	in, ctx, cancel, err := c.kind(ctx, k, namespace)
	if err != nil {
		return nil, err
	}
	defer cancel()
	got, err := in.Get(ctx, name, metav1.GetOptions{})
	return got, about("get", k, namespace, name, err)
}

// List reads at most limit objects (0: all) with labels as selector says ("": any).
func (c *Cluster) List(ctx context.Context, k Kind, namespace, selector string, limit int64) ([]Object, error) {
	in, ctx, cancel, err := c.kind(ctx, k, namespace)
	if err != nil {
		return nil, err
	}
	defer cancel()
	got, err := in.List(ctx, metav1.ListOptions{LabelSelector: selector, Limit: limit})
	if err != nil {
		return nil, about("list", k, namespace, "", err)
	}
	return got.Items, nil
}

// Delete removes an object, and then what it owns. That it is gone already is
// no error. With a resourceVersion it is a conflict unless the object is still that.
func (c *Cluster) Delete(ctx context.Context, k Kind, namespace, name, resourceVersion string) error {
	in, ctx, cancel, err := c.kind(ctx, k, namespace)
	if err != nil {
		return err
	}
	defer cancel()
	background := metav1.DeletePropagationBackground
	opts := metav1.DeleteOptions{PropagationPolicy: &background}
	if resourceVersion != "" {
		opts.Preconditions = &metav1.Preconditions{ResourceVersion: &resourceVersion}
	}
	if err = in.Delete(ctx, name, opts); NotFound(err) {
		return nil
	}
	return about("delete", k, namespace, name, err)
}
