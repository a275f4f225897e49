package api

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/graph"
	"github.com/signalbox-dev/signalbox/resource"
)

// Apply writes every resource of a manifest of several documents, or none. The
// parameter file is what faults call the manifest; dryRun=true only checks.
func (a *API) Apply(c *fiber.Ctx) error {
	if err := checkManifestType(c); err != nil {
		return err
	}
	dry, err := flag(c, "dryRun")
	if err != nil {
		return err
	}
	file, src := strings.Clone(c.Query("file")), c.Context().Request.Body()
	objects, err := decodeAll(file, src)
	if err != nil {
		return err
	}
	return a.within(func(ctx context.Context) error {
		out, err := a.apply(ctx, c, objects, dry)
		if err != nil {
			return locate(err, file, src)
		}
		return answer(c, fiber.StatusOK, out)
	})
}

// applied is what an apply answers.
type applied struct {
	Items []resource.Object `json:"items"`
	// Warnings are those that the change introduces.
	Warnings []graph.Finding `json:"warnings,omitempty"`
	// Radius is what the change reaches, of a dry run.
	Radius *graph.Radius `json:"radius,omitempty"`
}

func appliedOf(stored []resource.Object, p *graph.Preview, dry bool) *applied {
	out := &applied{Items: stored}
	if out.Items == nil {
		out.Items = []resource.Object{}
	}
	if p == nil {
		return out
	}
	out.Warnings = p.Warnings
	if dry {
		out.Radius = &p.Radius
	}
	return out
}

// apply writes the objects that the guard lets pass.
func (a *API) apply(ctx context.Context, c *fiber.Ctx, objects []resource.Object, dry bool) (*applied, error) {
	before, err := a.existing(ctx, objects)
	if err != nil {
		return nil, err
	}
	as := slices.Clone(objects) // write completes keys, which a dry run does not
	ch, err := a.write(ctx, c, as, before)
	if err != nil {
		return nil, err
	}
	preview := a.preview(ctx, objects, dry) // before anything is written, and of what may be
	if dry {
		as = objects
	}
	stored, err := a.deps.Resources.Apply(ctx, as, dry)
	if err != nil {
		return nil, err
	}
	if !dry {
		ch.done(c, stored)
	}
	return appliedOf(stored, preview, dry), nil
}

// decodeAll reads a manifest; it must hold something.
func decodeAll(file string, src []byte) ([]resource.Object, error) {
	objects, err := resource.Decode(file, src)
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		return nil, resource.Faults{{File: file, Problem: "holds no resources"}}
	}
	return objects, nil
}

// locate gives faults that name a resource the file and line it stands in.
func locate(err error, file string, src []byte) error {
	var faults resource.Faults
	if !errors.As(err, &faults) {
		return err
	}
	faults = slices.Clone(faults)
	for i := range faults {
		f := &faults[i]
		kind, name, ok := strings.Cut(f.Resource, "/")
		if !ok || f.Line > 0 {
			continue
		}
		f.File, f.Line = file, resource.LineOf(src, kind, name, f.Field)
	}
	return faults
}
