package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// Artifact describes the files of a function that the server keeps.
type Artifact struct {
	Digest string `json:"digest"`
	// Size are the bytes as they were sent.
	Size     int64 `json:"size"`
	Files    int   `json:"files"`
	Unpacked int64 `json:"unpacked"`
}

const (
	// partSize is what is sent at a time, in bytes; servers that take less are sent
	// less, down to minPart.
	partSize = 512 << 10
	minPart  = 1 << 10
)

func artifactPath(digest string) string { return "/api/v1/artifacts/" + url.PathEscape(digest) }

// HasArtifact reports whether the server has an artifact.
func (c *Client) HasArtifact(ctx context.Context, digest string) (bool, error) {
	resp, err := c.send(ctx, request{method: http.MethodHead, path: artifactPath(digest)})
	if IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, resp.Body.Close()
}

// PutArtifact uploads an artifact of so many bytes, in parts where it is large.
func (c *Client) PutArtifact(ctx context.Context, digest string, content io.ReaderAt, size int64) (Artifact, error) {
	for part := int64(partSize); ; part /= 2 {
		info, err := c.putArtifact(ctx, digest, content, size, part)
		var p *Problem
		if !errors.As(err, &p) || p.Status != http.StatusRequestEntityTooLarge || part <= minPart {
			return info, err
		}
	}
}

func (c *Client) putArtifact(ctx context.Context, digest string, content io.ReaderAt, size, partSize int64) (Artifact, error) {
	r := request{method: http.MethodPost, path: artifactPath(digest), header: http.Header{"Content-Type": {"application/gzip"}}}
	if size <= partSize {
		body, err := part(content, 0, size)
		if err != nil {
			return Artifact{}, err
		}
		r.body = body
	} else {
		upload, parts := rand.Text(), int((size+partSize-1)/partSize)
		if err := c.putParts(ctx, digest, upload, content, size, partSize); err != nil {
			return Artifact{}, err
		}
		r.query = url.Values{"upload": {upload}, "parts": {strconv.Itoa(parts)}}
	}
	var info Artifact
	err := c.call(ctx, r, &info)
	return info, err
}

func (c *Client) putParts(ctx context.Context, digest, upload string, content io.ReaderAt, size, partSize int64) error {
	number := 0
	for at := int64(0); at < size; at += partSize {
		body, err := part(content, at, min(partSize, size-at))
		if err != nil {
			return err
		}
		number++
		err = c.call(ctx, request{
			method: http.MethodPut, path: artifactPath(digest), body: body, header: http.Header{"Content-Type": {"application/gzip"}},
			query: url.Values{"upload": {upload}, "part": {strconv.Itoa(number)}},
		}, nil)
		if err != nil {
			return fmt.Errorf("part %d: %w", number, err)
		}
	}
	return nil
}

func part(content io.ReaderAt, at, size int64) ([]byte, error) {
	body := make([]byte, size)
	_, err := content.ReadAt(body, at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return body, err
}
