package policytest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/resource"
)

// Options say how a suite is read and run.
type Options struct {
	// Run selects tests and cases by their names; nil is all.
	Run *regexp.Regexp
	// Shadow treats policies in shadow mode as if they were in force; otherwise
	// they are left out, as they are where decisions count.
	Shadow bool
	// Budget bounds one evaluation; 0 is that of policies.DefaultConfig.
	Budget time.Duration
	// every keeps policies in shadow mode as they are.
	every bool
}

// Suite is a directory of manifests and Rego with its tests. It does not change.
type Suite struct {
	opts      Options
	manifests *resource.Manifests
	// set holds what is tested; policies in shadow mode only with Options.Shadow.
	set   resource.Set
	tests []source
	cases []Case
	// left are the policies that are left out because of their mode.
	left []string
}

// source is a file of Rego.
type source struct {
	file string
	src  []byte
}

// Load reads a directory (manifests and Rego as `signalbox apply -f DIR` takes
// them, *_test.rego and *.cases.yaml), or one file: a test or cases with the
// directory they stand in, anything else by itself. The error is
// resource.Faults where something stands wrongly in a file.
func Load(path string, opts Options) (*Suite, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	dir, only := path, ""
	if !st.IsDir() && (isTest(path) || isCases(path)) {
		dir, only = filepath.Dir(path), path
	}
	s := &Suite{opts: opts}
	if s.manifests, err = resource.LoadManifests(dir); err != nil {
		return nil, err
	}
	if err := s.makeSet(); err != nil {
		return nil, err
	}
	if st.IsDir() || only != "" {
		err = s.readTests(dir, only)
	}
	return s, err
}

func isTest(file string) bool { return strings.HasSuffix(file, "_test.rego") }

func isCases(file string) bool {
	return strings.HasSuffix(file, ".cases.yaml") || strings.HasSuffix(file, ".cases.yml")
}

// makeSet makes the set of the manifests.
func (s *Suite) makeSet() error {
	set, faults := resource.NewSet(0, s.manifests.Objects)
	if len(faults) > 0 {
		return s.manifests.Locate(faults)
	}
	s.set = set
	if s.opts.every {
		return nil
	}
	s.set.Policies = slices.DeleteFunc(set.Policies, func(p *resource.Policy) bool {
		if p.Spec.Shadow() && !s.opts.Shadow {
			s.left = append(s.left, p.Metadata.Name)
			return true
		}
		p.Spec.Mode = ""
		return false
	})
	return nil
}

// readTests reads the tests and cases of dir, or the one file of them.
func (s *Suite) readTests(dir, only string) error {
	var faults resource.Faults
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != dir && !resource.IsRegoDir(d.Name()):
			return filepath.SkipDir
		case d.IsDir() || only != "" && filepath.Clean(file) != filepath.Clean(only) || !isTest(file) && !isCases(file):
			return nil
		}
		src, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if isTest(file) {
			s.tests = append(s.tests, source{file, src})
			return nil
		}
		cases, err := parseCases(file, src)
		var wrong resource.Faults
		if errors.As(err, &wrong) {
			faults = append(faults, wrong...)
			return nil
		}
		s.cases = append(s.cases, cases...)
		return err
	})
	if err != nil {
		return err
	}
	return faults.Err()
}

// Left names the policies in shadow mode that are left out.
func (s *Suite) Left() []string { return s.left }

// decider decides cases, one at a time, at a time of its own.
type decider struct {
	engine *policies.Engine
	now    time.Time
}

// compile makes what decides the cases.
func (s *Suite) compile() (*decider, error) {
	d := &decider{}
	cfg := policies.DefaultConfig()
	cfg.Clock = func() time.Time { return d.now }
	cfg.BreakAfter = -1 // no case may depend on another
	if s.opts.Budget > 0 {
		cfg.Budget = s.opts.Budget
	}
	var err error
	if d.engine, err = policies.New(cfg); err != nil {
		return nil, err
	}
	if faults := d.engine.Load(s.set); len(faults) > 0 {
		return nil, s.manifests.Locate(faults)
	}
	return d, nil
}

func (s *Suite) selected(name string) bool { return s.opts.Run == nil || s.opts.Run.MatchString(name) }

// place is a line of a policy's module, as file and line.
func (s *Suite) place(policy string, row int) (file string, line int) {
	f := s.manifests.Locate(resource.Faults{{Resource: resource.KindPolicy + "/" + policy, Field: "spec.rego", Line: row}})[0]
	return f.File, f.Line
}

// ErrNothing says that there is nothing to test.
var ErrNothing = fmt.Errorf("no tests: want rules named test_…, files named *_test.rego, or cases in *.cases.yaml")
