package policytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// Case is one case of a *.cases.yaml: what happens, and what is expected of it.
type Case struct {
	Name string `yaml:"name"`
	// Event has the members of the CloudEvents JSON format; specversion, id and
	// source may be left out.
	Event map[string]any `yaml:"event"`
	// Key is the record's key, which decides between versions of a function.
	Key string `yaml:"key"`
	// Time is what policies read as the time; zero is now.
	Time time.Time `yaml:"time"`
	// Identity, Route and Method are who asks, and how; with admitted they are
	// what admission and management policies get.
	Identity map[string]any `yaml:"identity"`
	Route    string         `yaml:"route"`
	Method   string         `yaml:"method"`
	// Management is a request to the API instead of an event.
	Management *Management `yaml:"management"`
	Expect     Expect      `yaml:"expect"`

	file  string
	line  int
	event *event.Event
}

// Management is a request that management policies are asked about.
type Management struct {
	// Verb is read, write, delete or act.
	Verb string `yaml:"verb"`
	// Resource is what it is about, as in a manifest: kind, metadata, spec.
	Resource map[string]any `yaml:"resource"`
}

// Expect is what a case expects. What is not said is not checked.
type Expect struct {
	// Chosen are links that get the event, NotChosen links that do not.
	Chosen    []string `yaml:"chosen"`
	NotChosen []string `yaml:"notChosen"`
	// Denied are links that a policy denies, with the reason; "" is any.
	Denied map[string]string `yaml:"denied"`
	// Targets are functions (name, or name@version) that policies add.
	Targets []string `yaml:"targets"`
	// Exact: chosen, denied and targets are all there is, also where they are left out.
	Exact bool `yaml:"exact"`
	// Error is a part of what a trigger policy fails with.
	Error string `yaml:"error"`
	// Admitted is what the admission or management policies say, Reason why not.
	Admitted *bool  `yaml:"admitted"`
	Reason   string `yaml:"reason"`
}

// choosing reports whether the case asks which functions get the event.
func (x *Expect) choosing() bool {
	return x.Exact || x.Error != "" || x.Chosen != nil || x.NotChosen != nil || x.Denied != nil || x.Targets != nil
}

// parseCases reads a file of cases strictly; the error is resource.Faults.
func parseCases(file string, src []byte) ([]Case, error) {
	var in struct {
		Cases []Case `yaml:"cases"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	dec.KnownFields(true)
	if err := dec.Decode(&in); err != nil && !errors.Is(err, io.EOF) {
		return nil, yamlFaults(file, err)
	}
	lines := caseLines(src)
	var faults resource.Faults
	seen := map[string]bool{}
	for i := range in.Cases {
		c := &in.Cases[i]
		c.file = file
		if i < len(lines) {
			c.line = lines[i]
		}
		problem := c.complete()
		if seen[c.Name] {
			problem = fmt.Sprintf("%q stands twice: want each name once in a file", c.Name)
		}
		seen[c.Name] = true
		if problem != "" {
			faults = append(faults, resource.Fault{File: file, Line: c.line, Field: "cases[" + strconv.Itoa(i) + "]", Problem: problem})
		}
	}
	return in.Cases, faults.Err()
}

// complete makes the event, and says what is wrong with the case.
func (c *Case) complete() (problem string) {
	switch {
	case c.Name == "":
		return "name: missing"
	case (c.Event == nil) == (c.Management == nil):
		return "want event or management, one of them"
	case c.Event == nil && c.Expect.choosing():
		return "expect: chosen, notChosen, denied, targets, exact and error: only with an event"
	case c.Management != nil && c.Expect.Admitted == nil:
		return "expect.admitted: missing"
	case c.Expect.Reason != "" && (c.Expect.Admitted == nil || *c.Expect.Admitted):
		return "expect.reason: only with admitted: false"
	case !c.Expect.choosing() && c.Expect.Admitted == nil:
		return "expect: want at least one of chosen, notChosen, denied, targets, exact, error and admitted"
	case c.Event == nil:
		if _, err := c.management(); err != nil {
			return err.Error()
		}
		return ""
	}
	members := map[string]any{"specversion": "1.0", "id": "1", "source": "/test"}
	for k, v := range c.Event {
		members[k] = v
	}
	b, err := json.Marshal(members)
	if err == nil {
		c.event, err = event.ParseJSON(b)
	}
	if err != nil {
		return "event: " + err.Error()
	}
	return ""
}

// caseLines are the lines in which the cases begin.
func caseLines(src []byte) (lines []int) {
	var doc yaml.Node
	if yaml.Unmarshal(src, &doc) != nil || len(doc.Content) == 0 {
		return nil
	}
	root := doc.Content[0]
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "cases" {
			for _, c := range root.Content[i+1].Content {
				lines = append(lines, c.Line)
			}
		}
	}
	return lines
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// yamlFaults gives what the YAML parser says file and line.
func yamlFaults(file string, err error) resource.Faults {
	texts := []string{err.Error()}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		texts = typed.Errors
	}
	faults := make(resource.Faults, len(texts))
	for i, t := range texts {
		faults[i] = resource.Fault{File: file, Problem: yamlLine.ReplaceAllString(t, "")}
		if m := yamlLine.FindStringSubmatch(t); m != nil {
			faults[i].Line, _ = strconv.Atoi(m[1])
		}
	}
	return faults
}
