package gatewaytest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/signalbox-dev/signalbox/gateway/api"
	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// Artifacts is a gateway.Artifacts in memory. An artifact's digest is "sha256:" and
// its content.
type Artifacts struct {
	mu    sync.Mutex
	kept  map[string][]byte
	parts map[string][]byte
}

// Stat implements gateway.Artifacts.
func (a *Artifacts) Stat(_ context.Context, digest string) (api.Artifact, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, ok := a.kept[digest]
	if !ok {
		return api.Artifact{}, fmt.Errorf("artifact: %w", problem.ErrNotFound)
	}
	return api.Artifact{Digest: digest, Size: int64(len(b))}, nil
}

// Get implements gateway.Artifacts.
func (a *Artifacts) Get(ctx context.Context, digest string) (io.ReadCloser, api.Artifact, error) {
	info, err := a.Stat(ctx, digest)
	a.mu.Lock()
	defer a.mu.Unlock()
	return io.NopCloser(bytes.NewReader(a.kept[digest])), info, err
}

// Put implements gateway.Artifacts.
func (a *Artifacts) Put(ctx context.Context, digest string, r io.ReadSeeker) (api.Artifact, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return api.Artifact{}, err
	}
	if "sha256:"+string(b) != digest {
		return api.Artifact{}, fmt.Errorf("%q: %w", b, problem.ErrArtifact)
	}
	a.mu.Lock()
	if a.kept == nil {
		a.kept = map[string][]byte{}
	}
	a.kept[digest] = b
	a.mu.Unlock()
	info, err := a.Stat(ctx, digest)
	info.Files, info.Unpacked = 1, info.Size
	return info, err
}

// PutPart implements gateway.Artifacts.
func (a *Artifacts) PutPart(_ context.Context, digest, upload string, part int, r io.Reader, _ int64) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if part < 1 || !strings.HasPrefix(digest, "sha256:") {
		return fmt.Errorf("part %d of %s: %w", part, digest, problem.ErrArtifact)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.parts == nil {
		a.parts = map[string][]byte{}
	}
	a.parts[fmt.Sprint(digest, upload, part)] = b
	return nil
}

// Assemble implements gateway.Artifacts.
func (a *Artifacts) Assemble(ctx context.Context, digest, upload string, parts int) (api.Artifact, error) {
	var all bytes.Buffer
	a.mu.Lock()
	for part := 1; part <= parts; part++ {
		b, ok := a.parts[fmt.Sprint(digest, upload, part)]
		if !ok {
			a.mu.Unlock()
			return api.Artifact{}, fmt.Errorf("part %d: %w", part, problem.ErrNotFound)
		}
		all.Write(b)
	}
	a.mu.Unlock()
	return a.Put(ctx, digest, bytes.NewReader(all.Bytes()))
}
