package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/gateway/gatewaytest"
)

func withArtifacts(_ *Config, d *Deps) { d.Artifacts = &gatewaytest.Artifacts{} }

const artifactsPath = "/api/v1/artifacts/"

func TestArtifactsAreTakenWholeAndInParts(t *testing.T) {
	r := start(t, withArtifacts)
	for _, x := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"not there", "GET", "sha256:abc", "", 404, ""},
		{"not there, by HEAD", "HEAD", "sha256:abc", "", 404, ""},
		{"another content", "POST", "sha256:abc", "abd", 422, "invalid-artifact"},
		{"whole", "POST", "sha256:abc", "abc", 201, `{"digest":"sha256:abc","size":3,"files":1,"unpacked":3}`},
		{"again", "POST", "sha256:abc", "abc", 201, ""},
		{"there", "GET", "sha256:abc", "", 200, "abc"},
		{"there, by HEAD", "HEAD", "sha256:abc", "", 200, ""},
		{"a part without an upload", "PUT", "sha256:abcdef?part=1", "abc", 400, "upload"},
		{"a part without a number", "PUT", "sha256:abcdef?upload=uploadone", "abc", 400, "part"},
		{"a part that is none", "PUT", "sha256:abcdef?upload=uploadone&part=0", "abc", 422, ""},
		{"the second part", "PUT", "sha256:abcdef?upload=uploadone&part=2", "def", 204, ""},
		{"all parts but one", "POST", "sha256:abcdef?upload=uploadone&parts=2", "", 404, "part 1"},
		{"the first part", "PUT", "sha256:abcdef?upload=uploadone&part=1", "abc", 204, ""},
		{"too few parts", "POST", "sha256:abcdef?upload=uploadone&parts=1", "", 422, ""},
		{"parts that are no number", "POST", "sha256:abcdef?upload=uploadone&parts=x", "", 400, "parts"},
		{"all parts", "POST", "sha256:abcdef?upload=uploadone&parts=2", "", 201, `"size":6`},
		{"there as one", "GET", "sha256:abcdef", "", 200, "abcdef"},
		{"more than a request may have", "POST", "sha256:abc", strings.Repeat("x", 2<<20), 413, ""},
	} {
		a := r.do(x.method, artifactsPath+x.path, x.body, "Content-Type", "application/gzip")
		if a.StatusCode != x.status || !strings.Contains(string(a.body), x.want) {
			t.Errorf("%s: %d %s", x.name, a.StatusCode, a.body)
		}
	}
	a := r.do("HEAD", artifactsPath+"sha256:abcdef", "")
	if a.Header.Get("Etag") != `"sha256:abcdef"` || a.ContentLength != 6 || a.Header.Get("Cache-Control") != "private, max-age=31536000, immutable" {
		t.Errorf("%v, %d bytes", a.Header, a.ContentLength)
	}
}

func TestWithoutAStoreArtifactsAreUnavailable(t *testing.T) {
	r := start(t, nil)
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
		if a := r.do(method, artifactsPath+"sha256:abc", ""); a.StatusCode != 503 {
			t.Errorf("%s: %d", method, a.StatusCode)
		}
	}
}

func TestAnswersAboutArtifactsAreAsDocumented(t *testing.T) {
	r := start(t, withArtifacts)
	doc := r.document()
	for _, x := range []struct {
		method, query, body string
		status              int
	}{
		{"POST", "abc", "abc", 201}, {"POST", "abc", "x", 422}, {"GET", "abc", "", 200}, {"GET", "x", "", 404},
		{"PUT", "abc?upload=uploadone&part=1", "abc", 204}, {"PUT", "abc", "abc", 400}, {"POST", "abc?upload=other&parts=1", "", 404},
	} {
		a := r.do(x.method, artifactsPath+"sha256:"+x.query, x.body, "Content-Type", "application/gzip")
		if a.StatusCode != x.status {
			t.Errorf("%+v: %d", x, a.StatusCode)
		}
		op := doc["paths"].(map[string]any)[artifactsPath+"{digest}"].(map[string]any)[strings.ToLower(x.method)].(map[string]any)
		checkAnswer(t, doc, op, a)
	}
}
