package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/gateway/parameter"
	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// ArtifactType is the media type of an artifact: a compressed tar.
const ArtifactType = "application/gzip"

// artifactTimeout bounds checking and storing one artifact.
const artifactTimeout = 2 * time.Minute

// Artifact describes the files of a function that are kept.
type Artifact struct {
	Digest string `json:"digest"`
	// Size are the bytes as they are kept.
	Size int64 `json:"size"`
	// Files and Unpacked describe one that was just uploaded.
	Files    int   `json:"files,omitempty"`
	Unpacked int64 `json:"unpacked,omitempty"`
}

// Artifacts keeps the files of functions by the hash of their content. What is no
// digest, no archive of a function's files, another one than was named, or too
// large, is an error wrapping problem.ErrArtifact; what is not there is
// problem.ErrNotFound, and others wrap problem.ErrUnavailable. It returns when ctx
// ends. Safe for concurrent use.
type Artifacts interface {
	Stat(ctx context.Context, digest string) (Artifact, error)
	Get(ctx context.Context, digest string) (io.ReadCloser, Artifact, error)
	// Put checks an artifact and keeps it.
	Put(ctx context.Context, digest string, r io.ReadSeeker) (Artifact, error)
	// PutPart keeps a part (from 1) of an upload, which the uploader names, for a
	// while; Assemble makes the artifact of its parts.
	PutPart(ctx context.Context, digest, upload string, part int, r io.Reader, size int64) error
	Assemble(ctx context.Context, digest, upload string, parts int) (Artifact, error)
}

// Artifact answers the files themselves.
func (a *API) Artifact(c *fiber.Ctx) error {
	digest, err := a.digest(c)
	if err != nil {
		return err
	}
	if string(c.Request().Header.Method()) == fiber.MethodHead {
		return a.within(func(ctx context.Context) error {
			info, err := a.deps.Artifacts.Stat(ctx, digest)
			if err == nil {
				artifactHeaders(c, info)
				c.Response().Header.SetContentLength(int(info.Size))
				c.Response().SkipBody = true
			}
			return err
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), artifactTimeout) // it is read after this handler has returned
	r, info, err := a.deps.Artifacts.Get(ctx, digest)
	if err != nil {
		cancel()
		return err
	}
	artifactHeaders(c, info)
	return c.SendStream(&sent{r, cancel}, int(info.Size)) // closes it
}

// sent is an artifact on its way to the client.
type sent struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (s *sent) Close() error {
	defer s.cancel()
	return s.ReadCloser.Close()
}

// artifactHeaders: what a digest names never changes.
func artifactHeaders(c *fiber.Ctx, info Artifact) {
	c.Set(fiber.HeaderContentType, ArtifactType)
	c.Set(fiber.HeaderETag, `"`+info.Digest+`"`)
	c.Set(fiber.HeaderCacheControl, "private, max-age=31536000, immutable")
}

// AddArtifact takes the whole artifact as the body, or with upload and parts makes
// it of parts that came before.
func (a *API) AddArtifact(c *fiber.Ctx) error {
	digest, err := a.digest(c)
	if err != nil {
		return err
	}
	upload, parts, err := numbered(c, "parts")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), artifactTimeout)
	defer cancel()
	var info Artifact
	if upload != "" {
		info, err = a.deps.Artifacts.Assemble(ctx, digest, upload, parts)
	} else {
		info, err = a.deps.Artifacts.Put(ctx, digest, bytes.NewReader(c.Context().Request.Body()))
	}
	if err != nil {
		return err
	}
	return answer(c, fiber.StatusCreated, info)
}

// PutArtifactPart takes a part of an upload.
func (a *API) PutArtifactPart(c *fiber.Ctx) error {
	digest, err := a.digest(c)
	if err != nil {
		return err
	}
	upload, part, err := numbered(c, "part")
	if err != nil {
		return err
	}
	if upload == "" {
		return problem.New(problem.InvalidQuery, "upload: missing: want a name that the uploader makes up, and part")
	}
	body := c.Context().Request.Body()
	return a.within(func(ctx context.Context) error {
		if err := a.deps.Artifacts.PutPart(ctx, digest, upload, part, bytes.NewReader(body), int64(len(body))); err != nil {
			return err
		}
		return c.SendStatus(fiber.StatusNoContent)
	})
}

func (a *API) digest(c *fiber.Ctx) (string, error) {
	if a.deps.Artifacts == nil {
		return "", problem.New(problem.Unavailable, "this process keeps no artifacts")
	}
	return strings.Clone(c.Params("digest")), nil
}

// numbered reads upload and the number that comes with it; without upload there is none.
func numbered(c *fiber.Ctx, name string) (upload string, n int, err error) {
	upload = strings.Clone(c.Query("upload"))
	if upload == "" {
		return "", 0, nil
	}
	if n, err = strconv.Atoi(c.Query(name)); err != nil {
		return "", 0, fmt.Errorf("%s %q: %w: want a number", name, parameter.Clip(c.Query(name)), problem.ErrQuery)
	}
	return upload, n, nil
}
