package openfaas

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// gateway is OpenFaaS's API, as far as it is used here.
type gateway struct {
	c    *Config
	http *http.Client
}

// deployment is what the gateway is told of a function.
type deployment struct {
	Service     string            `json:"service"`
	Image       string            `json:"image"`
	Namespace   string            `json:"namespace,omitempty"`
	EnvVars     map[string]string `json:"envVars,omitempty"`
	Secrets     []string          `json:"secrets,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Limits      *amounts          `json:"limits,omitempty"`
	Requests    *amounts          `json:"requests,omitempty"`
	ReadOnly    bool              `json:"readOnlyRootFilesystem,omitempty"`
}

// amounts are of memory and processors.
type amounts struct {
	Memory string `json:"memory,omitempty"`
	CPU    string `json:"cpu,omitempty"`
}

// function is what the gateway says of one.
type function struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Replicas    int               `json:"replicas"`
	Available   int               `json:"availableReplicas"`
}

// secret is a file that functions find in secretsDir.
type secret struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	Value     string `json:"value"`
}

// refusal is an answer that is no success.
type refusal struct {
	what   string
	status int
	said   string
}

func (e *refusal) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("%s: OpenFaaS answers %d: %s", e.what, e.status, e.said), ": ")
}

func answered(err error, status int) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == status
}

var errNoGateway = errors.New("no OpenFaaS: --openfaas-gateway names none")

// call asks the gateway and reads the answer into out, unless that is nil.
func (g *gateway) call(ctx context.Context, method, path string, in, out any) error {
	if g.c.Gateway == "" {
		return errNoGateway
	}
	what := method + " " + path
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	ctx, cancel := context.WithTimeout(ctx, g.c.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(g.c.Gateway, "/")+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	} else {
		req.Body, req.ContentLength = nil, 0
	}
	if err := g.authenticate(req); err != nil {
		return err
	}
	resp, err := g.http.Do(req)
	if err != nil {
		return fmt.Errorf("OpenFaaS: %w", err)
	}
	defer resp.Body.Close()
	return g.read(what, resp, out)
}

func (g *gateway) authenticate(req *http.Request) error {
	if g.c.PasswordSecret == "" {
		return nil
	}
	if g.c.Secrets == nil {
		return fmt.Errorf("secret %s: this process has no secrets", g.c.PasswordSecret)
	}
	password, err := g.c.Secrets(g.c.PasswordSecret)
	if err != nil {
		return fmt.Errorf("the password for OpenFaaS: %w", err)
	}
	req.SetBasicAuth(g.c.User, string(password))
	return nil
}

// maxAnswer bounds what is read of an answer: thousands of functions.
const maxAnswer = 32 << 20

func (g *gateway) read(what string, resp *http.Response, out any) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		said := strings.TrimSpace(string(body[:min(len(body), 300)]))
		if strings.HasPrefix(what, "PUT /system/secrets") || strings.HasPrefix(what, "POST /system/secrets") {
			said = "" // it may hold the value
		}
		return &refusal{what, resp.StatusCode, said}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// list returns the functions of a namespace ("": OpenFaaS's default).
func (g *gateway) list(ctx context.Context, namespace string) ([]function, error) {
	path := "/system/functions"
	if namespace != "" {
		path += "?namespace=" + url.QueryEscape(namespace)
	}
	var all []function
	return all, g.call(ctx, http.MethodGet, path, nil, &all)
}

// deploy makes a function what d says, whether it is there or not.
func (g *gateway) deploy(ctx context.Context, d *deployment, there bool) error {
	first, second, missing := http.MethodPost, http.MethodPut, http.StatusConflict
	if there {
		first, second, missing = http.MethodPut, http.MethodPost, http.StatusNotFound
	}
	err := g.call(ctx, first, "/system/functions", d, nil)
	if answered(err, missing) {
		err = g.call(ctx, second, "/system/functions", d, nil)
	}
	return err
}

func (g *gateway) remove(ctx context.Context, namespace, name string) error {
	err := g.call(ctx, http.MethodDelete, "/system/functions", map[string]string{"functionName": name, "namespace": namespace}, nil)
	if answered(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// keep stores a secret, new or not.
func (g *gateway) keep(ctx context.Context, s *secret) error {
	err := g.call(ctx, http.MethodPut, "/system/secrets", s, nil)
	if answered(err, http.StatusNotFound) {
		err = g.call(ctx, http.MethodPost, "/system/secrets", s, nil)
	}
	return err
}
