package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3Config says where a bucket is.
type S3Config struct {
	// Bucket exists; Prefix, which may be "", is what the names of all objects begin with.
	Bucket, Prefix string
	// Endpoint is an http or https URL; "" is that of AWS. Buckets of an endpoint
	// are addressed by path unless it is AWS's.
	Endpoint string
	// Region "" is asked for.
	Region string
	// AccessKey and SecretKey "": those of the environment (AWS_ACCESS_KEY_ID and so
	// on), of the AWS configuration file, or of the role of the machine or pod.
	AccessKey, SecretKey string
}

type bucket struct {
	name, prefix string
	client       *minio.Client
}

// NewS3 keeps objects in a bucket. It makes no call: a bucket that is not there
// shows when it is used.
func NewS3(c S3Config) (Objects, error) {
	endpoint := c.Endpoint
	if endpoint == "" {
		endpoint = "https://s3.amazonaws.com"
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("endpoint %q: want an http or https URL without a path", endpoint)
	}
	client, err := minio.New(u.Host, &minio.Options{Creds: c.credentials(), Secure: u.Scheme == "https", Region: c.Region, MaxRetries: 3})
	if err != nil {
		return nil, err
	}
	client.SetAppInfo("signalbox", "1")
	b := &bucket{name: c.Bucket, prefix: strings.Trim(c.Prefix, "/"), client: client}
	if b.prefix != "" {
		b.prefix += "/"
	}
	return b, nil
}

func (c *S3Config) credentials() *credentials.Credentials {
	if c.AccessKey != "" || c.SecretKey != "" {
		return credentials.NewStaticV4(c.AccessKey, c.SecretKey, "")
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: &http.Client{Timeout: 5 * time.Second}},
	})
}

// ParseS3 reads s3://bucket/prefix; ok is false for what does not begin so.
func ParseS3(location string) (c S3Config, ok bool, err error) {
	rest, ok := strings.CutPrefix(location, "s3://")
	if !ok {
		return c, false, nil
	}
	c.Bucket, c.Prefix, _ = strings.Cut(rest, "/")
	if c.Bucket == "" {
		err = fmt.Errorf("%q: want s3://bucket or s3://bucket/prefix", location)
	}
	return c, true, err
}

// Environment fills in what is not said from the variables that all AWS tools know.
func (c *S3Config) Environment() {
	for _, f := range []struct {
		field *string
		names []string
	}{
		{&c.Endpoint, []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}},
		{&c.Region, []string{"AWS_REGION", "AWS_DEFAULT_REGION"}},
	} {
		for _, name := range f.names {
			if *f.field == "" {
				*f.field = os.Getenv(name)
			}
		}
	}
}

// fault says an error of the server in the terms of Objects.
func (b *bucket) fault(err error) error {
	if err == nil {
		return nil
	}
	where := "s3://" + b.name + "/" + b.prefix
	var answer minio.ErrorResponse
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound && answer.Code != minio.NoSuchBucket {
		return fmt.Errorf("%w (%s)", ErrNotFound, where)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, where, err)
}

// Put implements Objects.
func (b *bucket) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	_, err := b.client.PutObject(ctx, b.name, b.prefix+name, r, size, minio.PutObjectOptions{ContentType: "application/octet-stream"})
	return b.fault(err)
}

// Get implements Objects.
func (b *bucket) Get(ctx context.Context, name string) (io.ReadCloser, Object, error) {
	o, err := b.client.GetObject(ctx, b.name, b.prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, Object{}, b.fault(err)
	}
	info, err := o.Stat() // nothing is asked for before
	if err != nil {
		_ = o.Close()
		return nil, Object{}, b.fault(err)
	}
	return faulty{o, b}, b.object(info), nil
}

// faulty says errors of reading in the terms of Objects.
type faulty struct {
	io.ReadCloser
	b *bucket
}

// Read implements io.Reader.
func (f faulty) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = f.b.fault(err)
	}
	return n, err
}

// Stat implements Objects.
func (b *bucket) Stat(ctx context.Context, name string) (Object, error) {
	info, err := b.client.StatObject(ctx, b.name, b.prefix+name, minio.StatObjectOptions{})
	return b.object(info), b.fault(err)
}

func (b *bucket) object(info minio.ObjectInfo) Object {
	return Object{Name: strings.TrimPrefix(info.Key, b.prefix), Size: info.Size, Changed: info.LastModified}
}

// Delete implements Objects.
func (b *bucket) Delete(ctx context.Context, name string) error {
	err := b.fault(b.client.RemoveObject(ctx, b.name, b.prefix+name, minio.RemoveObjectOptions{}))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// List implements Objects.
func (b *bucket) List(ctx context.Context, prefix string, fn func(Object) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing when fn has had enough
	for info := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true}) {
		if info.Err != nil {
			return b.fault(info.Err)
		}
		if err := fn(b.object(info)); err != nil {
			return err
		}
	}
	return ctx.Err()
}
