package resource

import (
	"path/filepath"
	"strings"
)

// The runtimes of scripts.
const (
	RuntimePython = "python"
	RuntimeNode   = "node"
)

// Scripts are files that run in sequence for each event, in worker processes
// that stay warm.
type Scripts struct {
	// Runtime is python or node.
	Runtime string `json:"runtime"`
	// Files run in this order and share one context. They are looked for in Dir
	// of the function, by default the manifest's; what stands beside them can be imported.
	Files []string `json:"files"`
	// Requirements is a file for pip, from which the function gets a virtual
	// environment of its own; python only. Node looks for node_modules beside the files.
	Requirements string `json:"requirements,omitempty"`
	// Workers bounds the processes, each of which makes one run at a time; default 4, 1 to 64.
	Workers int `json:"workers,omitempty"`
	// MemoryMB bounds the memory of a worker, in MiB; default 256, 32 to 16384.
	MemoryMB int `json:"memoryMB,omitempty"`
	// MaxRuns is how many runs a worker makes before a new one takes its place;
	// default 1000, 1 to 1000000.
	MaxRuns int `json:"maxRuns,omitempty"`
}

// WithDefaults fills in what is zero.
func (s Scripts) WithDefaults() Scripts {
	for _, d := range []struct {
		field *int
		value int
	}{{&s.Workers, 4}, {&s.MemoryMB, 256}, {&s.MaxRuns, 1000}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return s
}

func (s *Scripts) validate(f *Faults) {
	extensions := map[string][]string{RuntimePython: {".py"}, RuntimeNode: {".js", ".cjs", ".mjs"}}[s.Runtime]
	if extensions == nil {
		f.add("spec.scripts.runtime", "%q: want python or node", s.Runtime)
	}
	if len(s.Files) == 0 {
		f.add("spec.scripts.files", "empty: want at least one file")
	}
	for i, file := range s.Files {
		field := index("spec.scripts.files", i)
		validateInside(f, field, file)
		if extensions != nil && !hasExtension(file, extensions) {
			f.add(field, "%q: want a file ending in %s", file, strings.Join(extensions, " or "))
		}
	}
	if s.Requirements != "" {
		validateInside(f, "spec.scripts.requirements", s.Requirements)
		if s.Runtime == RuntimeNode {
			f.add("spec.scripts.requirements", "only with runtime python: put node_modules beside the files")
		}
	}
	for _, b := range []struct {
		field           string
		value, low, top int
	}{{"workers", s.Workers, 1, 64}, {"memoryMB", s.MemoryMB, 32, 16384}, {"maxRuns", s.MaxRuns, 1, 1_000_000}} {
		if b.value != 0 && (b.value < b.low || b.value > b.top) {
			f.add("spec.scripts."+b.field, "%d: want %d to %d, or 0 for the default", b.value, b.low, b.top)
		}
	}
}

// validateInside wants a path that does not lead out of the function's directory.
func validateInside(f *Faults, field, path string) {
	if path == "" || !filepath.IsLocal(path) {
		f.add(field, "%q: want a path below the function's directory", path)
	}
}

func hasExtension(file string, extensions []string) bool {
	for _, e := range extensions {
		if strings.HasSuffix(file, e) {
			return true
		}
	}
	return false
}
