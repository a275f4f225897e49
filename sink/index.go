package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// index is an OpenSearch or Elasticsearch.
type index struct {
	c    *Config
	http *http.Client
}

func newIndex(c *Config) *index {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = c.TLS
	return &index{c: c, http: &http.Client{Transport: transport, Timeout: c.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// send makes one request; an answer above 299 is an error with its beginning.
func (x *index) send(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(x.c.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", contentType)
	switch {
	case x.c.APIKey != "":
		r.Header.Set("Authorization", "ApiKey "+x.c.APIKey)
	case x.c.User != "":
		r.SetBasicAuth(x.c.User, x.c.Password)
	}
	resp, err := x.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode > 299 {
		err = &refusal{resp.StatusCode, clip(string(b), 500)}
	}
	return b, err
}

// refusal is an answer that is no success.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string { return fmt.Sprintf("the index answers %d: %s", r.status, r.body) }

// prepare puts the template.
func (x *index) prepare(ctx context.Context) error {
	_, err := x.send(ctx, http.MethodPut, "/_index_template/"+strings.Trim(x.c.Prefix, "-_."), "application/json", template(x.c.Prefix))
	return err
}

// bulkAnswer is what _bulk answers.
type bulkAnswer struct {
	Errors bool `json:"errors"`
	Items  []map[string]struct {
		Status int             `json:"status"`
		Error  json.RawMessage `json:"error"`
	} `json:"items"`
}

// write sends documents. again are those to be sent once more, as they are; bad
// those that the index will not take, each with the reason. err is of the request
// as a whole.
func (x *index) write(ctx context.Context, docs []document) (again, bad []document, why []string, err error) {
	var body bytes.Buffer
	for i := range docs {
		head, _ := json.Marshal(map[string]any{"index": map[string]string{"_index": docs[i].index, "_id": docs[i].id}})
		body.Write(head)
		body.WriteByte('\n')
		body.Write(docs[i].source)
		body.WriteByte('\n')
	}
	b, err := x.send(ctx, http.MethodPost, "/_bulk", "application/x-ndjson", body.Bytes())
	if err != nil {
		var no *refusal
		if errors.As(err, &no) && no.status == http.StatusRequestEntityTooLarge && len(docs) == 1 {
			return nil, docs, []string{no.Error()}, nil
		}
		return nil, nil, nil, err
	}
	var answer bulkAnswer
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, nil, nil, fmt.Errorf("the answer to _bulk is not the JSON expected: %w", err)
	}
	if len(answer.Items) != len(docs) {
		return nil, nil, nil, fmt.Errorf("the answer to _bulk has %d items, of %d", len(answer.Items), len(docs))
	}
	for i, item := range answer.Items {
		for _, one := range item {
			switch {
			case one.Status < 300:
			case one.Status == http.StatusTooManyRequests || one.Status >= 500 || one.Status == http.StatusNotFound || one.Status == http.StatusForbidden:
				again = append(again, docs[i]) // the index is busy, or closed to us for now
				err = fmt.Errorf("the index answers %d: %s", one.Status, clip(string(one.Error), 500))
			default:
				bad, why = append(bad, docs[i]), append(why, fmt.Sprintf("%d: %s", one.Status, clip(string(one.Error), 500)))
			}
		}
	}
	if len(again) > 0 {
		x.c.Log.Warn("documents were put off", "documents", len(again), "error", err)
	}
	return again, bad, why, nil
}
