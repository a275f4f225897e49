package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/e2e/freeport"
)

// What the gateways of the rows on security are started with.
const (
	benchRootKey  = "bench-root-key-of-32-characters-or-more"
	benchIssuer   = "https://id.example"
	benchAudience = "signalbox"
	benchSecret   = "0123456789abcdef0123456789abcdef"
	// senders is the number of connections of the closed loop at a gateway.
	senders = 16
)

// way is one way of sending an event in: what is asked of it costs CPU.
type way struct {
	name string
	// args are the gateway's beside the common ones, manifests what it is given.
	args      []string
	manifests []string
	// path is where to post; dress adds what a request needs, the n-th of all.
	path  string
	dress func(req *fasthttp.Request, n int64) error
}

// signer makes tokens of an issuer whose keys are in a file.
type signer struct {
	key  jwk.Key
	file string
}

func newSigner(dir string) (*signer, error) {
	raw, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := jwk.Import(raw)
	if err != nil {
		return nil, err
	}
	public, err := jwk.PublicKeyOf(key)
	if err == nil {
		err = errors.Join(key.Set(jwk.KeyIDKey, "1"), public.Set(jwk.KeyIDKey, "1"), public.Set(jwk.AlgorithmKey, jwa.ES256()))
	}
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(map[string]any{"keys": []any{public}})
	if err != nil {
		return nil, err
	}
	s := &signer{key: key, file: filepath.Join(dir, "keys.json")}
	return s, os.WriteFile(s.file, b, 0o600)
}

func (s *signer) token(id int64) (string, error) {
	t, err := jwt.NewBuilder().Issuer(benchIssuer).Audience([]string{benchAudience}).Subject("bench").JwtID(strconv.FormatInt(id, 10)).
		IssuedAt(time.Now()).Expiration(time.Now().Add(time.Hour)).Claim("roles", []string{"emitter"}).Build()
	if err != nil {
		return "", err
	}
	b, err := jwt.Sign(t, jwt.WithKey(jwa.ES256(), s.key))
	return string(b), err
}

// ways are those that are compared; the first is the plain one. many is how
// many tokens are made for the row in which each request brings a new one.
func ways(s *signer, many int64) ([]way, error) {
	const token = "sbk_bench_ABCDEFGHIJKLMNOPQRSTUVWXYZ" // #nosec G101 -- of a gateway that lives as long as a measurement
	sum := sha256.Sum256([]byte(token))
	key := fmt.Sprintf(`{"apiVersion":"signalbox.dev/v1","kind":"Key","metadata":{"name":"bench"},"spec":{"roles":["emitter"],"hash":"sha256:%x"}}`, sum)
	known, err := s.token(0)
	if err != nil {
		return nil, err
	}
	tokens := make([]string, many)
	for i := range tokens {
		if tokens[i], err = s.token(int64(i + 1)); err != nil {
			return nil, err
		}
	}
	bearer := func(value func(n int64) string) func(*fasthttp.Request, int64) error {
		return func(req *fasthttp.Request, n int64) error {
			req.Header.Set("Authorization", "Bearer "+value(n))
			return nil
		}
	}
	required := []string{"--auth", "required", "--root-key", benchRootKey}
	oidc := append(required, "--oidc-issuer", benchIssuer, "--oidc-audience", benchAudience, "--oidc-jwks-file", s.file)
	policy := `{"apiVersion":"signalbox.dev/v1","kind":"Policy","metadata":{"name":"admission"},"spec":{"rego":"package signalbox.admission\nimport rego.v1\ndeny contains \"no\" if { startswith(input.event.type, \"payment.\"); input.identity.name != \"payments\" }\ndeny contains \"large\" if input.event.size > 65536"}}`
	hook := `{"apiVersion":"signalbox.dev/v1","kind":"Webhook","metadata":{"name":"hook"},"spec":{"provider":"github","secrets":["bench"]}}`
	signature := hmac.New(sha256.New, []byte(benchSecret))
	signature.Write(payload())
	signed := "sha256=" + hex.EncodeToString(signature.Sum(nil))
	return []way{
		{name: "no credentials", path: "/events"},
		{name: "a key", args: required, manifests: []string{key}, path: "/events", dress: bearer(func(int64) string { return token })},
		{name: "an OpenID token, seen before", args: oidc, path: "/events", dress: bearer(func(int64) string { return known })},
		{name: "an OpenID token (ES256), new with each request", args: oidc, path: "/events", dress: bearer(func(n int64) string { return tokens[n%many] })},
		{name: "an admission policy of two rules", manifests: []string{policy}, path: "/events"},
		{name: "a GitHub webhook (HMAC-SHA256)", manifests: []string{hook}, path: "/webhooks/hook", dress: func(req *fasthttp.Request, n int64) error {
			req.Header.Set("X-Github-Event", "push")
			req.Header.Set("X-Github-Delivery", strconv.FormatInt(n, 10)+"-bench")
			req.Header.Set("X-Hub-Signature-256", signed)
			return nil
		}},
	}, nil
}

// gateway starts a process that only accepts.
func (cfg config) gateway(ctx context.Context, p parts, w way) (*system, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	addr, err := freeport.Addr()
	if err != nil {
		return nil, err
	}
	name := "bench" + strconv.FormatInt(time.Now().UnixNano(), 36)
	args := append(setup{sample: 0.01}.args(name, addr, dir, p), "--roles", "gateway", "--secrets-dir", dir)
	if err := os.WriteFile(filepath.Join(dir, "bench"), []byte(benchSecret), 0o600); err != nil {
		return nil, err
	}
	process, err := startProcess(ctx, false, cfg.binary, append(args, w.args...)...)
	if err != nil {
		return nil, err
	}
	process.addr = addr
	sys := &system{process: process, dir: dir, name: name}
	if err := awaitHTTP(ctx, "http://"+addr+"/readyz", 60*time.Second); err != nil {
		return nil, fmt.Errorf("%w (log: %s)", err, sys.log.Name())
	}
	for _, m := range w.manifests {
		if err := sys.manifest(ctx, m); err != nil {
			return nil, err
		}
	}
	return sys, nil
}

// manifest writes one resource.
func (s *system) manifest(ctx context.Context, m string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/api/v1/apply", strings.NewReader(m))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+benchRootKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var b bytes.Buffer
		_, _ = b.ReadFrom(resp.Body)
		return fmt.Errorf("apply: %s %s", resp.Status, b.String())
	}
	return nil
}

// accepting measures the CPU of a way in, per request.
func (cfg config) accepting(ctx context.Context, p parts, w way) (sample, error) {
	var out sample
	sys, err := cfg.gateway(ctx, p, w)
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(sys.dir)
	defer sys.process.stop()
	var n atomic.Int64
	if _, err := w.drive(ctx, sys.addr, &n, cfg.length/5); err != nil {
		return out, err
	}
	before, err := sys.cpu()
	if err != nil {
		return out, err
	}
	began := time.Now()
	accepted, err := w.drive(ctx, sys.addr, &n, cfg.length)
	if err != nil {
		return out, err
	}
	out.rate = float64(accepted) / time.Since(began).Seconds()
	after, err := sys.cpu()
	out.cpuUS = float64((after - before).Microseconds()) / float64(accepted)
	return out, err
}

// drive posts from all senders for d; at first a resource that is not in force
// yet may refuse.
func (w way) drive(ctx context.Context, addr string, n *atomic.Int64, d time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	l := newLoad(addr, benchType)
	var accepted, tried atomic.Int64
	var last atomic.Pointer[string]
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			var req fasthttp.Request
			var resp fasthttp.Response
			for ctx.Err() == nil {
				req.Reset()
				req.Header.SetMethod(fasthttp.MethodPost)
				req.SetRequestURI("http://" + addr + w.path)
				i := n.Add(1)
				for name, value := range map[string]string{"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Source": "/bench", "Ce-Type": benchType, "Ce-Id": l.run + "-" + strconv.FormatInt(i, 10)} {
					req.Header.Set(name, value)
				}
				req.SetBodyRaw(l.body)
				var err error
				if w.dress != nil {
					err = w.dress(&req, i)
				}
				tried.Add(1)
				if err == nil {
					err = l.client.DoTimeout(&req, &resp, 30*time.Second)
				}
				switch {
				case err != nil:
					text := err.Error()
					last.Store(&text)
				case resp.StatusCode() != fasthttp.StatusAccepted:
					text := fmt.Sprintf("%d %s", resp.StatusCode(), resp.Body())
					last.Store(&text)
				default:
					accepted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if accepted.Load() < tried.Load()/2 {
		return 0, fmt.Errorf("%s: %d of %d accepted; the last refusal: %s", w.name, accepted.Load(), tried.Load(), *last.Load())
	}
	return accepted.Load(), nil
}

func (cfg config) writeSecurity(ctx context.Context, p parts, b *strings.Builder) error {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := newSigner(dir)
	if err != nil {
		return err
	}
	all, err := ways(s, max(2000, int64(cfg.length.Seconds()*20_000)))
	if err != nil {
		return err
	}
	rows := make([]row, len(all))
	for round := range cfg.rounds {
		for i, w := range all {
			x, err := cfg.accepting(ctx, p, w)
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", w.name, round+1, err)
			}
			rows[i].setup.name = w.name
			rows[i].samples = append(rows[i].samples, x)
			fmt.Fprintf(os.Stderr, "%-50s round %d: %.1f us/request, %.0f requests/s\n", w.name, round+1, x.cpuUS, x.rate)
		}
	}
	fmt.Fprintf(b, "\n## Being let in\n\nA process with the role `gateway` alone accepts events of 1 KiB into Kafka from %d connections as fast as it answers; CPU of that process per request, with what is asked of who sends it.\n\n", senders)
	b.WriteString("| a request with | CPU us per request | more than the first us | requests/s |\n| --- | --- | --- | --- |\n")
	_, first := rows[0].of(cpuOf)
	for _, r := range rows {
		low, med := r.of(cpuOf)
		_, rate := r.of(rateOf)
		fmt.Fprintf(b, "| %s | %.1f (%.1f) | %+.1f | %.0f |\n", r.setup.name, med, low, med-first, rate)
	}
	return nil
}
