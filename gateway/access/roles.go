package access

import (
	"fmt"
	"strings"

	"github.com/signalbox-dev/signalbox/resource"
)

// Verb is what a request does.
type Verb string

// The verbs.
const (
	// Read lists or shows.
	Read Verb = "read"
	// Write adds or changes a resource, Delete removes one.
	Write  Verb = "write"
	Delete Verb = "delete"
	// Act makes something happen: redrive, drop, roll back, report.
	Act Verb = "act"
)

// Deliveries is the kind of what functions report about; see rolesFor.
const Deliveries = "deliveries"

// Artifacts is the kind of the files of functions: who reads them reads programs.
const Artifacts = "artifacts"

// rolesFor are the roles that may do it where no management policy says who may.
//
// Functions report about deliveries by tokens which name them and can be guessed,
// so such a report needs credentials too; those of an emitter will do, as a
// report brings nothing but an outcome and events.
func rolesFor(r *Request) []string {
	switch {
	case r.Kind == resource.KindKey || r.Verb != Read && r.managesManagement():
		return []string{resource.RoleAdmin}
	case r.Verb == Read && r.Kind != Artifacts:
		return []string{resource.RoleViewer, resource.RoleAuthor, resource.RoleAdmin}
	case r.Kind == Deliveries:
		return []string{resource.RoleEmitter, resource.RoleAuthor, resource.RoleAdmin}
	}
	return []string{resource.RoleAuthor, resource.RoleAdmin}
}

// emitters are the roles that may emit where no admission policy says who may.
func emitters() []string { return []string{resource.RoleEmitter, resource.RoleAdmin} }

// lacks says which role is missing; "" is none.
func lacks(id *Identity, roles []string) string {
	if id.known().root || id.Has(roles...) {
		return ""
	}
	has := "no role"
	if all := id.Roles(); len(all) > 0 {
		has = strings.Join(all, ", ")
	}
	want := "one of " + strings.Join(roles, ", ")
	if len(roles) == 1 {
		want = roles[0]
	}
	return fmt.Sprintf("%s has %s: want %s", id, has, want)
}
