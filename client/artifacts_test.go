package client

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// depot takes artifacts with at most so many bytes a request.
type depot struct {
	most int
	mu   sync.Mutex
	// parts by upload and number, whole what was put together.
	parts    map[string][]byte
	whole    []byte
	requests int
}

func (d *depot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests++
	upload := r.URL.Query().Get("upload")
	switch {
	case r.URL.Path != "/api/v1/artifacts/sha256:abc":
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodHead && d.whole == nil:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodHead:
	case len(body) > d.most:
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	case r.Method == http.MethodPut:
		d.parts[upload+r.URL.Query().Get("part")] = body
		w.WriteHeader(http.StatusNoContent)
	default:
		d.whole = body
		n, _ := strconv.Atoi(r.URL.Query().Get("parts"))
		for i := 1; i <= n; i++ {
			d.whole = append(d.whole, d.parts[upload+strconv.Itoa(i)]...)
		}
		fmt.Fprintf(w, `{"digest":"sha256:abc","size":%d}`, len(d.whole))
	}
}

func TestAnArtifactIsSentInPartsThatTheServerTakes(t *testing.T) {
	for name, test := range map[string]struct{ size, most, requests int }{
		"whole":                      {1000, 1 << 20, 1},
		"nothing":                    {0, 1 << 20, 1},
		"in parts":                   {3*partSize + 1, 1 << 20, 5},
		"just one part":              {partSize, 1 << 20, 1},
		"in smaller ones":            {partSize, 200 << 10, 1 + 1 + 5},
		"smaller than the least one": {4 << 10, 100, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := &depot{most: test.most, parts: map[string][]byte{}}
			server := httptest.NewServer(d)
			defer server.Close()
			c, err := New(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			content := []byte(strings.Repeat("0123456789", test.size/10+1))[:test.size]
			info, err := c.PutArtifact(t.Context(), "sha256:abc", bytes.NewReader(content), int64(test.size))
			if test.requests == 0 {
				if err == nil {
					t.Error("it is said to be taken")
				}
				return
			}
			if err != nil || info.Size != int64(test.size) || !bytes.Equal(d.whole, content) || d.requests != test.requests {
				t.Errorf("%+v %v, %d bytes in %d requests, want %d", info, err, len(d.whole), d.requests, test.requests)
			}
			if has, err := c.HasArtifact(t.Context(), "sha256:abc"); has != (d.whole != nil) || err != nil {
				t.Errorf("%v %v", has, err)
			}
		})
	}
}

func TestWhatAFunctionAnswersIsToldFromWhatTheServerRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		contentType, body string
		problem           bool
	}{
		"an answer":                 {"text/plain", "no", false},
		"a refusal":                 {"application/problem+json", `{"type":"https://signalbox.dev/problems/busy","detail":"busy"}`, true},
		"a problem of the function": {"application/problem+json", `{"type":"https://example.com/own"}`, false},
	} {
		resp := &http.Response{StatusCode: 429, Header: http.Header{"Content-Type": {test.contentType}}}
		if p := problemOf(resp, []byte(test.body)); (p != nil) != test.problem {
			t.Errorf("%s: %v", name, p)
		}
	}
}

func TestEventsOfAnAnswer(t *testing.T) {
	const e = `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`
	for name, test := range map[string]struct {
		a    Called
		want int
		err  bool
	}{
		"none":       {Called{Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte("x")}, 0, false},
		"structured": {Called{Header: http.Header{"Content-Type": {"application/cloudevents+json"}}, Body: []byte(e)}, 1, false},
		"several":    {Called{Header: http.Header{"Content-Type": {"application/cloudevents-batch+json"}}, Body: []byte("[" + e + "," + e + "]")}, 2, false},
		"binary":     {Called{Header: http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"/s"}, "Ce-Type": {"t"}}, Body: []byte("x")}, 1, false},
		"half a one": {Called{Header: http.Header{"Ce-Specversion": {"1.0"}}}, 1, true},
	} {
		got, err := test.a.Events()
		if (err != nil) != test.err || err == nil && len(got) != test.want {
			t.Errorf("%s: %d events, %v", name, len(got), err)
		}
	}
}
