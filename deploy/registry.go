package deploy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Registry is where images are pushed to, with the credentials of `docker login`.
type Registry struct {
	// Insecure speaks http; registries on this machine are spoken to so anyway.
	Insecure bool
	// Transport nil is that of net/http.
	Transport http.RoundTripper
}

// Reference reads the name of an image, with a tag: it says what is pushed to.
func (r Registry) Reference(image string) (name.Tag, error) {
	var options []name.Option
	if r.Insecure {
		options = append(options, name.Insecure)
	}
	tag, err := name.NewTag(image, options...)
	if err != nil {
		return tag, fmt.Errorf("image %q: want a name such as registry.example.com/team/function:v1: %w", image, err)
	}
	return tag, nil
}

func (r Registry) options(ctx context.Context) []remote.Option {
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("signalbox")}
	if r.Transport != nil {
		options = append(options, remote.WithTransport(r.Transport))
	}
	return options
}

// Push pushes an image and returns its name with the digest, by which everybody
// gets this one and no other.
func (r Registry) Push(ctx context.Context, image string, content v1.Image) (string, error) {
	tag, err := r.Reference(image)
	if err != nil {
		return "", err
	}
	if err := remote.Write(tag, content, r.options(ctx)...); err != nil {
		return "", fmt.Errorf("pushing %s: %w", image, err)
	}
	digest, err := content.Digest()
	if err != nil {
		return "", err
	}
	return pinned(tag, digest.String()), nil
}

// Resolve returns the name of an image that the registry has, with its digest.
func (r Registry) Resolve(ctx context.Context, image string) (string, error) {
	tag, err := r.Reference(image)
	if err != nil {
		return "", err
	}
	got, err := remote.Head(tag, r.options(ctx)...)
	if err != nil {
		return "", fmt.Errorf("looking up %s: %w", image, err)
	}
	return pinned(tag, got.Digest.String()), nil
}

// pinned leaves the tag out: not every engine takes both.
func pinned(tag name.Tag, digest string) string { return tag.Context().Name() + "@" + digest }

// WriteTarball writes an image as `docker load` and `podman load` read it.
func WriteTarball(file, image string, content v1.Image) (err error) {
	tag, err := Registry{}.Reference(image)
	if err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	return tarball.Write(tag, content, io.Writer(f))
}
