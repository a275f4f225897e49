package bundle

import "testing"

// FuzzRead: whatever a server sends, reading it ends, and what is taken has
// policies with names and annotations.
func FuzzRead(f *testing.F) {
	f.Add([]byte("no bundle"))
	f.Add(packed(f, "1", map[string]string{"/a.rego": "package a\n\np := 1\n"}, map[string]any{"b": 1}, "", ""))
	cfg := DefaultConfig()
	cfg.Name, cfg.URL, cfg.MaxBytes = "authz", "http://host/authz.tar.gz", 64<<10
	s, err := New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := s.read(raw)
		if err != nil {
			return
		}
		out, err := convert("authz", b)
		if err != nil {
			return
		}
		for _, o := range out.Objects {
			if err := o.Validate().Err(); err != nil || o.Metadata.Annotations[Annotation] != "authz" {
				t.Errorf("%+v: %v", o.Metadata, err)
			}
		}
	})
}
