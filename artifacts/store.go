package artifacts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The names of objects: packed artifacts, parts of uploads, and marks that
// nothing names an artifact any more.
const (
	packedPrefix = "artifacts/"
	uploadPrefix = "uploads/"
	orphanPrefix = "unnamed/"
)

func packedName(digest string) string { return packedPrefix + sumOf(digest) + ".tar.gz" }
func orphanName(digest string) string { return orphanPrefix + sumOf(digest) }

// digestOfName is the digest of an object's name.
func digestOfName(name, prefix, suffix string) (digest string, ok bool) {
	sum, isOne := strings.CutPrefix(name, prefix)
	sum, whole := strings.CutSuffix(sum, suffix)
	digest = Prefix + sum
	return digest, isOne && whole && CheckDigest(digest) == nil
}

// Info describes an artifact in the store.
type Info struct {
	Digest string `json:"digest"`
	// Size are the packed bytes.
	Size int64 `json:"size"`
	// Files and Unpacked describe what was just uploaded; 0 otherwise.
	Files    int   `json:"files,omitempty"`
	Unpacked int64 `json:"unpacked,omitempty"`
}

// StoreConfig says how artifacts are kept.
type StoreConfig struct {
	Objects Objects
	Limits  Limits
	// Grace is how long an artifact that nothing names is kept; 1m to 8760h, default 24h.
	Grace time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// uploadAge is how long the parts of an upload that was not finished are kept.
const uploadAge = time.Hour

// Store keeps artifacts. It is safe for concurrent use, also by several processes.
type Store struct{ c StoreConfig }

// NewStore makes a store; the error lists every fault of the configuration.
func NewStore(c StoreConfig) (*Store, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Limits == (Limits{}) {
		c.Limits = DefaultLimits()
	}
	if c.Grace == 0 {
		c.Grace = 24 * time.Hour
	}
	faults := []error{c.Limits.validate()}
	if c.Objects == nil {
		faults = append(faults, errors.New("Objects: missing"))
	}
	if c.Grace < time.Minute || c.Grace > 365*24*time.Hour {
		faults = append(faults, fmt.Errorf("Grace %s: want 1m to 8760h", c.Grace))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("artifacts: %w", err)
	}
	return &Store{c: c}, nil
}

// Limits are those of the store.
func (s *Store) Limits() Limits { return s.c.Limits }

// Stat says whether an artifact is there; ErrNotFound.
func (s *Store) Stat(ctx context.Context, digest string) (Info, error) {
	if err := CheckDigest(digest); err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	o, err := s.c.Objects.Stat(ctx, packedName(digest))
	return Info{Digest: digest, Size: o.Size}, about(digest, err)
}

// Get reads an artifact as it was uploaded; the caller closes it.
func (s *Store) Get(ctx context.Context, digest string) (io.ReadCloser, Info, error) {
	if err := CheckDigest(digest); err != nil {
		return nil, Info{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	r, o, err := s.c.Objects.Get(ctx, packedName(digest))
	return r, Info{Digest: digest, Size: o.Size}, about(digest, err)
}

// about says which artifact an error is about.
func about(digest string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("artifact %s: %w", Short(digest), err)
}

// Put checks a compressed archive and keeps it. It is read as a stream, twice: once
// to be checked and once to be kept, so that neither memory nor a disk must hold it.
// It fails with ErrMalformed, ErrDigest or ErrTooLarge where it is not what it says to be.
func (s *Store) Put(ctx context.Context, digest string, r io.ReadSeeker) (Info, error) {
	if err := CheckDigest(digest); err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	seen := newHashed(reader{ctx, r})
	left, err := check(seen, digest, s.c.Limits, nil)
	if err != nil {
		return Info{}, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	kept := newHashed(reader{ctx, r})
	if err := s.c.Objects.Put(ctx, packedName(digest), kept, seen.size); err != nil {
		return Info{}, about(digest, err)
	}
	if !kept.same(seen) { // a part was put again in between
		return Info{}, errors.Join(fmt.Errorf("%w: it changed while it was kept", ErrDigest), s.c.Objects.Delete(ctx, packedName(digest)))
	}
	return Info{Digest: digest, Size: seen.size, Files: left.files, Unpacked: left.bytes}, nil
}

// hashed is a stream of which it is remembered what came.
type hashed struct {
	in   io.Reader
	sum  hash.Hash
	size int64
}

func newHashed(in io.Reader) *hashed { return &hashed{in: in, sum: sha256.New()} }

// Read implements io.Reader.
func (s *hashed) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	s.sum.Write(p[:n])
	s.size += int64(n)
	return n, err
}

func (s *hashed) same(o *hashed) bool {
	return s.size == o.size && bytes.Equal(s.sum.Sum(nil), o.sum.Sum(nil))
}

// An upload in parts: each part is one request, so that none needs much memory or
// time, and any replica of the gateway takes any of them. Upload is a name that
// the uploader makes up, parts are counted from 1.
var uploadRE = regexp.MustCompile(`^[A-Za-z0-9]{8,64}$`)

// MaxParts bounds the parts of an upload.
const MaxParts = 8192

func (s *Store) partName(digest, upload string, part int) (string, error) {
	err := CheckDigest(digest)
	switch {
	case err != nil:
	case !uploadRE.MatchString(upload):
		err = fmt.Errorf("upload %.80q: want 8 to 64 letters and digits", upload)
	case part < 1 || part > MaxParts:
		err = fmt.Errorf("part %d: want 1 to %d", part, MaxParts)
	default:
		return uploadPrefix + sumOf(digest) + "/" + upload + "/" + strconv.Itoa(part), nil
	}
	return "", fmt.Errorf("%w: %w", ErrMalformed, err)
}

// PutPart keeps a part of an upload for an hour.
func (s *Store) PutPart(ctx context.Context, digest, upload string, part int, r io.Reader, size int64) error {
	name, err := s.partName(digest, upload, part)
	if err != nil {
		return err
	}
	if size > s.c.Limits.Packed {
		return fmt.Errorf("%w: a part of %d bytes", ErrTooLarge, size)
	}
	return about(digest, s.c.Objects.Put(ctx, name, r, size))
}

// Assemble makes the artifact of its parts as Put does. ErrNotFound: a part is missing.
func (s *Store) Assemble(ctx context.Context, digest, upload string, parts int) (Info, error) {
	if _, err := s.partName(digest, upload, parts); err != nil {
		return Info{}, err
	}
	all := &joined{parts: parts, open: func(part int) (io.ReadCloser, error) {
		name, err := s.partName(digest, upload, part)
		if err != nil {
			return nil, err
		}
		r, _, err := s.c.Objects.Get(ctx, name)
		if err != nil {
			err = fmt.Errorf("part %d of the upload: %w", part, err)
		}
		return r, err
	}}
	defer all.close()
	info, err := s.Put(ctx, digest, all)
	if err != nil {
		return info, err
	}
	for part := 1; part <= parts; part++ {
		if name, err := s.partName(digest, upload, part); err == nil {
			_ = s.c.Objects.Delete(ctx, name) // Sweep does it later, where this fails
		}
	}
	return info, nil
}

// joined reads the parts of an upload one after the other.
type joined struct {
	parts, at int
	open      func(part int) (io.ReadCloser, error)
	now       io.ReadCloser
}

// Read implements io.Reader.
func (j *joined) Read(p []byte) (int, error) {
	for {
		if j.now == nil {
			if j.at == j.parts {
				return 0, io.EOF
			}
			j.at++
			var err error
			if j.now, err = j.open(j.at); err != nil {
				j.now = nil
				return 0, err
			}
		}
		n, err := j.now.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		j.close()
		if n > 0 {
			return n, nil
		}
	}
}

// Seek goes back to the start, and nowhere else.
func (j *joined) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, errors.New("an upload is read from its start only")
	}
	j.close()
	j.at = 0
	return 0, nil
}

func (j *joined) close() {
	if j.now != nil {
		_ = j.now.Close()
		j.now = nil
	}
}

// Keep is called before a resource is written that names an artifact, so that
// Sweep does not take it away in between. ErrNotFound: it is not there.
func (s *Store) Keep(ctx context.Context, digest string) error {
	if err := CheckDigest(digest); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := s.c.Objects.Delete(ctx, orphanName(digest)); err != nil {
		return about(digest, err)
	}
	_, err := s.Stat(ctx, digest)
	return err
}

// Sweep removes what nobody has named for as long as the grace, and what is left of
// uploads. named are the digests that resources name now, kept versions of functions
// among them. The grace begins when a sweep first finds an artifact unnamed, so that
// resources which are away for a while, as those of a Redis that came back empty,
// cost nothing. Several processes may sweep at once.
func (s *Store) Sweep(ctx context.Context, named map[string]bool) (removed []string, err error) {
	marked := map[string]time.Time{}
	err = s.c.Objects.List(ctx, orphanPrefix, func(o Object) error {
		if digest, ok := digestOfName(o.Name, orphanPrefix, ""); ok {
			marked[digest] = o.Changed
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = s.c.Objects.List(ctx, packedPrefix, func(o Object) error {
		digest, ok := digestOfName(o.Name, packedPrefix, ".tar.gz")
		if !ok {
			return nil
		}
		since, isMarked := marked[digest]
		delete(marked, digest)
		switch {
		case named[digest] && isMarked:
			return s.c.Objects.Delete(ctx, orphanName(digest))
		case named[digest]:
			return nil
		case !isMarked:
			return s.c.Objects.Put(ctx, orphanName(digest), strings.NewReader(""), 0)
		case s.c.Now().Sub(since) < s.c.Grace:
			return nil
		}
		gone, err := s.remove(ctx, digest)
		if gone {
			removed = append(removed, digest)
		}
		return err
	})
	for digest := range marked { // their artifacts are gone
		err = errors.Join(err, s.c.Objects.Delete(ctx, orphanName(digest)))
	}
	return removed, errors.Join(err, s.sweepUploads(ctx))
}

// remove takes an artifact away, unless Keep was called in the meantime.
func (s *Store) remove(ctx context.Context, digest string) (bool, error) {
	if _, err := s.c.Objects.Stat(ctx, orphanName(digest)); err != nil {
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
		return false, err
	}
	err := s.c.Objects.Delete(ctx, packedName(digest))
	return err == nil, errors.Join(err, s.c.Objects.Delete(ctx, orphanName(digest)))
}

func (s *Store) sweepUploads(ctx context.Context) error {
	return s.c.Objects.List(ctx, uploadPrefix, func(o Object) error {
		if s.c.Now().Sub(o.Changed) < uploadAge {
			return nil
		}
		return s.c.Objects.Delete(ctx, o.Name)
	})
}
