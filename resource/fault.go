package resource

import (
	"fmt"
	"strconv"
	"strings"
)

// Fault is one thing that is wrong with a resource.
type Fault struct {
	// File and Line (from 1) are set when the resource came from a manifest.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Resource is Kind/name of the resource that is wrong, when it is not clear
	// from File and Line.
	Resource string `json:"resource,omitempty"`
	// Field is the path of the field, such as spec.delivery.timeout or spec.types[2].
	Field string `json:"field,omitempty"`
	// Problem names the value, what is wrong with it and what is allowed.
	Problem string `json:"problem"`
}

// String is the fault as one line: file:line: resource: field: problem.
func (f Fault) String() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File + ":")
	}
	if f.Line > 0 {
		if f.File == "" {
			b.WriteString("line ")
		}
		b.WriteString(strconv.Itoa(f.Line) + ":")
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if f.Resource != "" {
		b.WriteString(f.Resource + ": ")
	}
	if f.Field != "" {
		b.WriteString(f.Field + ": ")
	}
	b.WriteString(f.Problem)
	return b.String()
}

// Faults are all the things wrong with one or several resources; as an error
// they read as one line, separated by "; ".
type Faults []Fault

// Error implements error.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "; ")
}

// Err returns the faults as an error, nil when there are none.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// add appends a fault of field, with the problem formatted. What it repeats of the
// resource goes into answers and logs.
func (f *Faults) add(field, format string, args ...any) {
	*f = append(*f, Fault{Field: field, Problem: Redact(fmt.Sprintf(format, args...))})
}
