package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/signalbox-dev/signalbox/artifacts"
	"github.com/signalbox-dev/signalbox/functions/settings"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/resource"
)

// ArtifactOptions say where the files of functions are kept.
type ArtifactOptions struct {
	Artifacts          string
	ArtifactsEndpoint  string
	ArtifactsRegion    string
	ArtifactsAccessKey string
	ArtifactsSecretKey string
	ArtifactsGrace     time.Duration
}

func defaultArtifacts() ArtifactOptions { return ArtifactOptions{ArtifactsGrace: 24 * time.Hour} }

func (o *ArtifactOptions) flags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Artifacts, "artifacts", o.Artifacts, "where the files of functions are kept: a directory, or s3://bucket/prefix, which all processes share; empty: artifacts below --data")
	fs.StringVar(&o.ArtifactsEndpoint, "artifacts-endpoint", o.ArtifactsEndpoint, "URL of the S3 server; empty: AWS_ENDPOINT_URL_S3, else AWS")
	fs.StringVar(&o.ArtifactsRegion, "artifacts-region", o.ArtifactsRegion, "region of the bucket; empty: AWS_REGION, else it is asked for")
	fs.StringVar(&o.ArtifactsAccessKey, "artifacts-access-key", o.ArtifactsAccessKey, "access key; empty: AWS_ACCESS_KEY_ID, the AWS credentials file, or the role of the machine or pod")
	fs.StringVar(&o.ArtifactsSecretKey, "artifacts-secret-key", o.ArtifactsSecretKey, "secret key (better given by environment or file)")
	fs.DurationVar(&o.ArtifactsGrace, "artifacts-grace", o.ArtifactsGrace, "how long files that no function names any more are kept")
}

func (o *ArtifactOptions) validate() []error {
	var faults []error
	if o.ArtifactsGrace < time.Minute || o.ArtifactsGrace > 365*24*time.Hour {
		faults = append(faults, fmt.Errorf("--artifacts-grace %s: want 1m to 8760h", o.ArtifactsGrace))
	}
	_, s3, err := artifacts.ParseS3(o.Artifacts)
	if err != nil {
		faults = append(faults, fmt.Errorf("--artifacts: %w", err))
	}
	if (o.ArtifactsAccessKey == "") != (o.ArtifactsSecretKey == "") {
		faults = append(faults, errors.New("--artifacts-access-key and --artifacts-secret-key: want both or none"))
	}
	if !s3 && (o.ArtifactsEndpoint != "" || o.ArtifactsRegion != "" || o.ArtifactsAccessKey != "") {
		faults = append(faults, errors.New("--artifacts-endpoint, --artifacts-region, --artifacts-access-key: only with --artifacts s3://…"))
	}
	return faults
}

// objects is the store that the options name.
func (o *ArtifactOptions) objects(data string) (artifacts.Objects, error) {
	c, s3, err := artifacts.ParseS3(o.Artifacts)
	switch {
	case err != nil:
		return nil, err
	case s3:
		c.Endpoint, c.Region, c.AccessKey, c.SecretKey = o.ArtifactsEndpoint, o.ArtifactsRegion, o.ArtifactsAccessKey, o.ArtifactsSecretKey
		c.Environment()
		return artifacts.NewS3(c)
	case o.Artifacts != "":
		return artifacts.NewDirectory(o.Artifacts), nil
	}
	return artifacts.NewDirectory(filepath.Join(data, "artifacts")), nil
}

// inherited is what programs and scripts inherit of an environment: where the store
// signs in by what all AWS tools know, that is the gateway's, and not theirs.
func (o *ArtifactOptions) inherited(environ []string) []string {
	if _, s3, _ := artifacts.ParseS3(o.Artifacts); !s3 || o.ArtifactsAccessKey != "" {
		return environ
	}
	return slices.DeleteFunc(slices.Clone(environ), settings.AWS)
}

// openArtifacts makes the store, and the cache of a process that runs functions.
func (a *App) openArtifacts(context.Context) error {
	objects, err := a.opts.ArtifactOptions.objects(a.opts.Data)
	if err != nil {
		return fmt.Errorf("--artifacts: %w", err)
	}
	if a.artifacts, err = artifacts.NewStore(artifacts.StoreConfig{Objects: objects, Grace: a.opts.ArtifactsGrace}); err != nil {
		return err
	}
	if a.opts.Artifacts == "" && a.opts.Kafka != Embedded {
		a.log.Info("the files of functions are kept on this machine only: processes on others need --artifacts", "dir", filepath.Join(a.opts.Data, "artifacts"))
	}
	if !a.opts.has(RoleDispatcher) {
		return nil
	}
	a.artifactCache, err = artifacts.NewCache(artifacts.CacheConfig{
		Dir: filepath.Join(a.opts.Data, "artifacts-unpacked"), Source: a.artifacts, Log: a.log, Used: a.countArtifact,
	})
	return err
}

// countArtifact counts one use of the files of a function.
func (a *App) countArtifact(u artifacts.Use) {
	m := &a.metrics.Artifacts
	switch {
	case u.Err != nil:
		m.Unfetched.Inc()
	case u.Fetched:
		m.Fetched.Inc()
		m.Bytes.Add(float64(u.Bytes))
		m.Duration.Observe(u.Took.Seconds())
	default:
		m.Here.Inc()
	}
}

// artifactDesk is the store in the gateway's terms.
type artifactDesk struct{ store *artifacts.Store }

// artifactError says an error of the store in the gateway's terms.
func artifactError(err error) error {
	for _, m := range []struct{ ours, gateway error }{
		{artifacts.ErrNotFound, gateway.ErrNotFound},
		{artifacts.ErrMalformed, gateway.ErrArtifact}, {artifacts.ErrDigest, gateway.ErrArtifact}, {artifacts.ErrTooLarge, gateway.ErrArtifact},
		{artifacts.ErrUnavailable, gateway.ErrUnavailable},
	} {
		if errors.Is(err, m.ours) {
			return fmt.Errorf("%w: %w", m.gateway, err)
		}
	}
	return err
}

// Stat implements gateway.Artifacts.
func (d artifactDesk) Stat(ctx context.Context, digest string) (gateway.Artifact, error) {
	info, err := d.store.Stat(ctx, digest)
	return gateway.Artifact(info), artifactError(err)
}

// Get implements gateway.Artifacts.
func (d artifactDesk) Get(ctx context.Context, digest string) (io.ReadCloser, gateway.Artifact, error) {
	r, info, err := d.store.Get(ctx, digest)
	return r, gateway.Artifact(info), artifactError(err)
}

// Put implements gateway.Artifacts.
func (d artifactDesk) Put(ctx context.Context, digest string, r io.ReadSeeker) (gateway.Artifact, error) {
	info, err := d.store.Put(ctx, digest, r)
	return gateway.Artifact(info), artifactError(err)
}

// PutPart implements gateway.Artifacts.
func (d artifactDesk) PutPart(ctx context.Context, digest, upload string, part int, r io.Reader, size int64) error {
	return artifactError(d.store.PutPart(ctx, digest, upload, part, r, size))
}

// Assemble implements gateway.Artifacts.
func (d artifactDesk) Assemble(ctx context.Context, digest, upload string, parts int) (gateway.Artifact, error) {
	info, err := d.store.Assemble(ctx, digest, upload, parts)
	return gateway.Artifact(info), artifactError(err)
}

// artifactOf is what an object names; "" is none.
func artifactOf(o *resource.Object) string {
	if o.Kind != resource.KindFunction {
		return ""
	}
	spec, err := specOf(o)
	if err != nil {
		return ""
	}
	return spec.Artifact
}

// keepArtifacts sees to it that what functions name is there, and stays.
func (s *resourceStore) keepArtifacts(ctx context.Context, objects []resource.Object) error {
	if s.artifacts == nil {
		return nil
	}
	var faults resource.Faults
	for i := range objects {
		digest := artifactOf(&objects[i])
		if digest == "" {
			continue
		}
		err := s.artifacts.Keep(ctx, digest)
		switch {
		case errors.Is(err, artifacts.ErrNotFound):
			faults = append(faults, resource.Fault{Resource: resource.KindFunction + "/" + objects[i].Metadata.Name, Field: "spec.artifact",
				Problem: fmt.Sprintf("%s is not in the store of artifacts: upload it before, as `signalbox apply` does", artifacts.Short(digest))})
		case err != nil:
			return artifactError(err)
		}
	}
	return faults.Err()
}

// sweepEvery is the pause between two sweeps of the store.
func (o *ArtifactOptions) sweepEvery() time.Duration {
	return max(time.Minute, min(time.Hour, o.ArtifactsGrace/10))
}

// sweepArtifacts removes what no resource names any more, until ctx ends.
func (a *App) sweepArtifacts(ctx context.Context) error {
	every := time.NewTicker(a.opts.sweepEvery())
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		removed, err := a.sweepOnce(ctx)
		if err != nil && ctx.Err() == nil {
			a.log.Warn("artifacts that nothing names stay", "error", err)
		}
		for _, digest := range removed {
			a.log.Info("artifact removed: nothing names it", "artifact", digest)
		}
	}
}

func (a *App) sweepOnce(ctx context.Context) ([]string, error) {
	named, err := a.namedArtifacts(ctx)
	if err != nil {
		return nil, err
	}
	return a.artifacts.Sweep(ctx, named)
}

// namedArtifacts are those of all functions, kept versions among them.
func (a *App) namedArtifacts(ctx context.Context) (map[string]bool, error) {
	functions, err := a.ledger.List(ctx, resource.KindFunction)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for i := range functions {
		if digest := artifactOf(&functions[i]); digest != "" {
			named[digest] = true
		}
	}
	return named, nil
}
