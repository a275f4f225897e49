package resource

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// APIVersion is the only one there is.
const APIVersion = "signalbox.dev/v1"

// Object is a resource of any kind as it is stored and as the API shows it.
type Object struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Metadata   Metadata        `json:"metadata"`
	Spec       json.RawMessage `json:"spec"`
	Status     json.RawMessage `json:"status,omitempty"`
}

// Metadata is what every resource has.
type Metadata struct {
	// Name is a DNS label or several joined by dots, at most 253 characters, unique within its kind.
	Name string `json:"name"`
	// UID is set by the ledger when the resource is created and kept by every
	// change: one that is deleted and added again has another. It begins with the
	// time of creation. What a PUT or a manifest says is not looked at.
	UID string `json:"uid,omitempty"`
	// Labels select and group; policies read them.
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations are notes that nothing in Signalbox reads.
	Annotations map[string]string `json:"annotations,omitempty"`
	// Revision is set by the ledger: the number of the change that wrote this
	// version, growing over all resources. In a PUT or PATCH it is the version
	// the change is based on (0: whatever is there).
	Revision uint64 `json:"revision,omitempty"`
	// UpdatedAt is set by the ledger.
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
}

// Kind describes one kind of resource.
type Kind struct {
	// Name is the kind as manifests write it, Plural as routes and the CLI do.
	Name   string
	Plural string
	// Short are other names the CLI takes.
	Short []string
	// newSpec returns a pointer to an empty spec.
	newSpec func() spec
}

// spec is what a kind's specification can do.
type spec interface {
	// validate reports every fault; fields are paths from the resource's root.
	validate(m Metadata) Faults
}

// Kinds lists every kind, in the order in which manifests are applied.
func Kinds() []Kind {
	return []Kind{
		{Name: KindFunction, Plural: "functions", Short: []string{"fn"}, newSpec: func() spec { return new(FunctionSpec) }},
		{Name: KindLink, Plural: "links", newSpec: func() spec { return new(LinkSpec) }},
		{Name: KindPolicy, Plural: "policies", newSpec: func() spec { return new(PolicySpec) }},
		{Name: KindSchema, Plural: "schemas", newSpec: func() spec { return new(SchemaSpec) }},
		{Name: KindWebhook, Plural: "webhooks", newSpec: func() spec { return new(WebhookSpec) }},
		{Name: KindReplay, Plural: "replays", newSpec: func() spec { return new(ReplaySpec) }},
		{Name: KindKey, Plural: "keys", newSpec: func() spec { return new(KeySpec) }},
	}
}

// LookupKind finds a kind by its name, plural or short name, without case.
func LookupKind(name string) (Kind, error) {
	var plurals []string
	for _, k := range Kinds() {
		if strings.EqualFold(k.Name, name) || strings.EqualFold(k.Plural, name) ||
			slices.ContainsFunc(k.Short, func(s string) bool { return strings.EqualFold(s, name) }) {
			return k, nil
		}
		plurals = append(plurals, k.Plural)
	}
	return Kind{}, fmt.Errorf("kind %q: want one of %s", name, strings.Join(plurals, ", "))
}

var (
	nameRE     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	labelKeyRE = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$`)
)

// Validate checks the envelope and the spec by the rules of its kind.
// Compiling filters and Rego is left to package policies.
func (o *Object) Validate() Faults {
	var f Faults
	if o.APIVersion != APIVersion {
		f.add("apiVersion", "%q: want %s", o.APIVersion, APIVersion)
	}
	k, err := LookupKind(o.Kind)
	if err != nil || k.Name != o.Kind {
		f.add("kind", "%q: want one of %s", o.Kind, strings.Join(kindNames(), ", "))
		return f
	}
	if function, version, kept := CutVersion(o.Metadata.Name); kept && o.Kind == KindFunction {
		f.add("metadata.name", "%q: versions that are not in force are not written themselves: write function %q with spec.version %q, or roll back to it", o.Metadata.Name, function, version)
		return f
	}
	f = append(f, o.Metadata.validate()...)
	s := k.newSpec()
	if len(o.Spec) == 0 {
		f.add("spec", "missing")
		return f
	}
	if err := json.Unmarshal(o.Spec, s); err != nil {
		f.add("spec", "%v", err)
		return f
	}
	return append(f, s.validate(o.Metadata)...)
}

func (m *Metadata) validate() Faults {
	var f Faults
	switch {
	case m.Name == "":
		f.add("metadata.name", "missing: want lower-case letters, digits, '-' and '.'")
	case len(m.Name) > 253 || !nameRE.MatchString(m.Name):
		f.add("metadata.name", "%q: want lower-case letters, digits, '-' and '.', at most 253 characters, beginning and ending with a letter or digit", m.Name)
	}
	for _, k := range slices.Sorted(maps.Keys(m.Labels)) {
		if len(k) > 317 || !labelKeyRE.MatchString(k) {
			f.add("metadata.labels", "key %q: want letters, digits, '-', '_', '.' and '/'", k)
		}
	}
	return f
}

func kindNames() []string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
	}
	return names
}
