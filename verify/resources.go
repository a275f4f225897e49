package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/signalbox-dev/signalbox/client"
	"github.com/signalbox-dev/signalbox/resource"
)

// Label is on every resource of a run; its value is the run's name.
const Label = "signalbox.dev/verify"

// The annotations say where a leftover comes from.
const (
	annotationStarted = "signalbox.dev/verify-started"
	annotationHost    = "signalbox.dev/verify-host"
)

// attempts is above all faults that a delivery may meet, with much room for
// what the deployment goes through.
const attempts = 30

// function is the name of function number i, and of the link that leads to it.
func (c *Config) function(i int) string { return "verify-" + c.Name + "-" + strconv.Itoa(i) }

// resources are the functions and links of a run: number i gets calls at url/i.
func resources(c *Config, p *plan, url string, now time.Time) ([]resource.Object, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var all []resource.Object
	for i := range p.functions + 1 {
		m := resource.Metadata{
			Name: c.function(i), Labels: map[string]string{Label: c.Name},
			Annotations: map[string]string{annotationStarted: now.UTC().Format(time.RFC3339), annotationHost: host},
		}
		fn, err := object(resource.KindFunction, m, resource.FunctionSpec{URL: url + strconv.Itoa(i)})
		if err != nil {
			return nil, err
		}
		link, err := object(resource.KindLink, m, resource.LinkSpec{
			Function: m.Name, Types: p.types(i), Order: c.Order,
			Delivery: resource.Delivery{
				Timeout: resource.Duration(c.CallTimeout), Attempts: attempts,
				Backoff: resource.Backoff{Initial: resource.Duration(50 * time.Millisecond), Max: resource.Duration(2 * time.Second)},
				// A run with poison goes on with the key; what hold does is a person's decision.
				AfterDead: resource.AfterDeadContinue,
			},
		})
		if err != nil {
			return nil, err
		}
		all = append(all, fn, link)
	}
	return all, nil
}

func object(kind string, m resource.Metadata, spec any) (resource.Object, error) {
	b, err := json.Marshal(spec)
	return resource.Object{APIVersion: resource.APIVersion, Kind: kind, Metadata: m, Spec: b}, err
}

// Removed says what Cleanup did.
type Removed struct {
	// Resources are those that were removed, as kind/name.
	Resources []string `json:"removed"`
	// Alive are the names of the runs that still answer, and were left alone.
	Alive []string `json:"alive"`
}

// Cleanup removes the resources of runs that ended without doing so. A run
// whose functions still answer from here is left alone.
func Cleanup(ctx context.Context, c *client.Client) (Removed, error) {
	out := Removed{Resources: []string{}, Alive: []string{}}
	alive := map[string]bool{}
	for _, kind := range []string{resource.KindFunction, resource.KindLink} {
		objects, err := labelled(ctx, c, kind, Label)
		if err != nil {
			return out, err
		}
		for _, o := range objects {
			run := o.Metadata.Labels[Label]
			if kind == resource.KindFunction && !alive[run] && living(ctx, o) != "" {
				alive[run] = true
				out.Alive = append(out.Alive, run)
			}
		}
	}
	// Links first: nothing is to be chosen for a function that is gone.
	for _, kind := range []string{resource.KindLink, resource.KindFunction} {
		objects, err := labelled(ctx, c, kind, Label)
		if err != nil {
			return out, err
		}
		for _, o := range objects {
			if alive[o.Metadata.Labels[Label]] {
				continue
			}
			if err := remove(ctx, c, o); err != nil {
				return out, err
			}
			out.Resources = append(out.Resources, o.Kind+"/"+o.Metadata.Name)
		}
	}
	return out, nil
}

func labelled(ctx context.Context, c *client.Client, kind, selector string) ([]resource.Object, error) {
	k, err := resource.LookupKind(kind)
	if err != nil {
		return nil, err
	}
	return c.List(ctx, k, selector)
}

// remove deletes a resource; one that is gone already is fine.
func remove(ctx context.Context, c *client.Client, o resource.Object) error {
	k, err := resource.LookupKind(o.Kind)
	if err != nil {
		return err
	}
	if err := c.Delete(ctx, k, o.Metadata.Name); err != nil && !client.IsNotFound(err) {
		return fmt.Errorf("%s/%s: %w", o.Kind, o.Metadata.Name, err)
	}
	return nil
}

// living asks a function whether its run is alive, and returns that run's id; "" when nobody answers.
func living(ctx context.Context, o resource.Object) string {
	var s resource.FunctionSpec
	if json.Unmarshal(o.Spec, &s) != nil || s.URL == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	return resp.Header.Get(runHeader)
}

// nameIsFree is an error when another run of this name is alive.
func (r *Runner) nameIsFree(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	old, err := labelled(ctx, r.client, resource.KindFunction, Label+"="+r.cfg.Name)
	if err != nil {
		return err
	}
	for _, o := range old {
		if run := living(ctx, o); run != "" && run != r.plan.run {
			return fmt.Errorf("another run named %s is alive: name this one otherwise, or wait for its end", r.cfg.Name)
		}
	}
	return nil
}

// install writes the resources of the run.
func (r *Runner) install(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	objects, err := resources(&r.cfg, r.plan, url, time.Now())
	if err != nil {
		return err
	}
	if _, err := r.client.Apply(ctx, objects, false); err != nil {
		return fmt.Errorf("the functions and links of the run: %w", err)
	}
	return nil
}

// uninstall removes the resources of the run.
func (r *Runner) uninstall(ctx context.Context) error {
	var faults []error
	for _, kind := range []string{resource.KindLink, resource.KindFunction} {
		for i := range r.plan.functions + 1 {
			o := resource.Object{Kind: kind, Metadata: resource.Metadata{Name: r.cfg.function(i)}}
			if err := remove(ctx, r.client, o); err != nil {
				faults = append(faults, err)
				if ctx.Err() != nil {
					return errors.Join(faults...)
				}
			}
		}
	}
	return errors.Join(faults...)
}
