package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// LogOptions say what of a container's output is read; the zero value is all that
// there is of the only container.
type LogOptions struct {
	Container string
	// Follow goes on until the container ends.
	Follow bool
	// Timestamps puts the time in RFC 3339 and a blank before each line.
	Timestamps bool
	// Since leaves out what is older, in whole seconds; zero: nothing.
	Since time.Time
	// Last leaves out what is older than that; 0: nothing. Since wins.
	Last time.Duration
}

func (o *LogOptions) query() string {
	q := url.Values{}
	if o.Container != "" {
		q.Set("container", o.Container)
	}
	if o.Follow {
		q.Set("follow", "true")
	}
	if o.Timestamps {
		q.Set("timestamps", "true")
	}
	switch {
	case !o.Since.IsZero():
		q.Set("sinceTime", o.Since.UTC().Truncate(time.Second).Format(time.RFC3339))
	case o.Last > 0:
		q.Set("sinceSeconds", strconv.FormatInt(int64(max(o.Last/time.Second, 1)), 10))
	}
	return q.Encode()
}

// Logs reads the output of a pod. The caller closes it, and ends it by ctx. For a
// pod that is gone NotFound holds.
func (c *Cluster) Logs(ctx context.Context, namespace, pod string, o LogOptions) (io.ReadCloser, error) {
	to, err := c.connect()
	if err != nil {
		return nil, err
	}
	if to.http == nil {
		return nil, fmt.Errorf("logs of pod %s: %w", pod, ErrNoCluster)
	}
	path := to.host + "/api/v1/namespaces/" + url.PathEscape(namespace) + "/pods/" + url.PathEscape(pod) + "/log?" + o.query()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, fmt.Errorf("logs of pod %s: %w", pod, err)
	}
	resp, err := to.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("logs of pod %s: %w", pod, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("logs: %w", apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, pod))
	}
	return nil, fmt.Errorf("logs of pod %s: %s: %s", pod, resp.Status, text)
}
