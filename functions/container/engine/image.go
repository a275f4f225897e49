package engine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"

	"github.com/signalbox-dev/signalbox/resource"
)

// Pull sees to it that the engine has an image. policy is resource.PullMissing,
// PullAlways or PullNever; an image that is not there and is not fetched wraps ErrNotFound.
// Credentials are those of the configuration of docker and podman.
func (c *Client) Pull(ctx context.Context, image, policy string) error {
	docker, err := c.engine(ctx)
	if err != nil {
		return err
	}
	if policy != resource.PullAlways {
		_, err := docker.ImageInspect(ctx, image)
		if err = c.fault(ctx, "image "+image, err); err == nil || !errors.Is(err, ErrNotFound) {
			return err
		}
		if policy == resource.PullNever {
			return fmt.Errorf("image %s: %w on this engine, and pull is never", image, ErrNotFound)
		}
	}
	answer, err := docker.ImagePull(ctx, image, client.ImagePullOptions{RegistryAuth: credentials(image)})
	if err == nil {
		err = answer.Wait(ctx)
	}
	return c.fault(ctx, "pulling image "+image, err)
}

// credentials are those for the image's registry, as the API wants them; "" are none.
func credentials(image string) string {
	ref, err := name.ParseReference(image)
	if err != nil {
		return ""
	}
	auth, err := authn.DefaultKeychain.Resolve(ref.Context())
	if err != nil || auth == authn.Anonymous {
		return "" // the registry says what it makes of that
	}
	a, err := auth.Authorization()
	if err != nil {
		return ""
	}
	b, err := json.Marshal(registry.AuthConfig{
		Username: a.Username, Password: a.Password, Auth: a.Auth, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken,
		ServerAddress: ref.Context().RegistryStr(),
	})
	if err != nil {
		return ""
	}
	return base64.URLEncoding.EncodeToString(b)
}
