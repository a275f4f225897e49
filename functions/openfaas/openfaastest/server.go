// Package openfaastest is a gateway of OpenFaaS for tests, written after its
// OpenAPI description: functions and secrets are kept, nothing runs.
package openfaastest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Object is an object as JSON.
type Object = map[string]any

// Server is the gateway; make it with Start.
type Server struct {
	URL string

	mu        sync.Mutex
	user      string
	password  string
	functions map[string]Object // by namespace/name
	secrets   map[string]string
	log       []string
	broken    int
	call      http.Handler
}

// Start runs a gateway until the test ends. With a password the user admin has to
// authenticate for what is below /system. Calls of functions that have a replica go
// to call; nil answers 200.
func Start(t testing.TB, password string, call http.Handler) *Server {
	t.Helper()
	s := &Server{user: "admin", password: password, functions: map[string]Object{}, secrets: map[string]string{}, call: call}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /system/functions", s.system(s.list))
	mux.HandleFunc("POST /system/functions", s.system(s.create))
	mux.HandleFunc("PUT /system/functions", s.system(s.update))
	mux.HandleFunc("DELETE /system/functions", s.system(s.remove))
	mux.HandleFunc("GET /system/function/{name}", s.system(s.one))
	mux.HandleFunc("POST /system/secrets", s.system(s.secret))
	mux.HandleFunc("PUT /system/secrets", s.system(s.secret))
	mux.HandleFunc("/function/{name}", s.invoke)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Break makes every request below /system fail with a status; 0 ends that.
func (s *Server) Break(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = status
}

// Functions are the names, as namespace/name; no namespace is the default one.
func (s *Server) Functions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.functions))
}

// Function is one as it was deployed; nil is none.
func (s *Server) Function(name string) Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.functions[name]
}

// Put keeps a function that somebody else deployed.
func (s *Server) Put(name string, o Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.functions[name] = o
}

// Scale sets how many replicas there should be, and how many are ready.
func (s *Server) Scale(name string, replicas, available int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := maps.Clone(s.functions[name])
	o["replicas"], o["availableReplicas"] = replicas, available
	s.functions[name] = o
}

// Secret is the value of a secret.
func (s *Server) Secret(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secrets[name]
}

// Writes are the requests so far that changed something.
func (s *Server) Writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

func (s *Server) system(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if user, password, _ := r.BasicAuth(); s.password != "" && (user != s.user || password != s.password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="Restricted"`)
			http.Error(w, "invalid credentials", http.StatusUnauthorized)
			return
		}
		if s.broken != 0 {
			http.Error(w, "broken", s.broken)
			return
		}
		if r.Method != http.MethodGet {
			s.log = append(s.log, r.Method+" "+r.URL.Path)
		}
		next(w, r)
	}
}

func key(namespace, name string) string { return strings.TrimPrefix(namespace+"/"+name, "/") }

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	all := []Object{}
	for _, name := range slices.Sorted(maps.Keys(s.functions)) {
		if namespace, _, named := strings.Cut(name, "/"); named == (r.URL.Query().Get("namespace") != "") && (!named || namespace == r.URL.Query().Get("namespace")) {
			all = append(all, s.functions[name])
		}
	}
	_ = json.NewEncoder(w).Encode(all)
}

func (s *Server) one(w http.ResponseWriter, r *http.Request) {
	if o := s.functions[key(r.URL.Query().Get("namespace"), r.PathValue("name"))]; o != nil {
		_ = json.NewEncoder(w).Encode(o)
		return
	}
	http.NotFound(w, r)
}

// fields are those of a deployment; another one is refused, so that a test sees it.
var fields = []string{"service", "image", "namespace", "envProcess", "envVars", "constraints", "secrets", "labels", "annotations", "limits", "requests", "readOnlyRootFilesystem"}

func (s *Server) read(w http.ResponseWriter, r *http.Request) (string, Object) {
	var o Object
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return "", nil
	}
	for field := range o {
		if !slices.Contains(fields, field) {
			http.Error(w, "unknown field "+field, http.StatusBadRequest)
			return "", nil
		}
	}
	name, _ := o["service"].(string)
	if image, _ := o["image"].(string); name == "" || image == "" {
		http.Error(w, "service and image are required", http.StatusBadRequest)
		return "", nil
	}
	secrets, _ := o["secrets"].([]any)
	for _, secret := range secrets {
		if _, ok := s.secrets[fmt.Sprint(secret)]; !ok {
			http.Error(w, "unable to find secret", http.StatusBadRequest)
			return "", nil
		}
	}
	namespace, _ := o["namespace"].(string)
	o["name"] = name
	delete(o, "service")
	return key(namespace, name), o
}

func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	name, o := s.read(w, r)
	switch {
	case o == nil:
	case s.functions[name] != nil:
		http.Error(w, "the function exists", http.StatusConflict)
	default:
		o["replicas"], o["availableReplicas"] = 1, 0
		s.functions[name] = o
		w.WriteHeader(http.StatusAccepted)
	}
}

func (s *Server) update(w http.ResponseWriter, r *http.Request) {
	name, o := s.read(w, r)
	switch before := s.functions[name]; {
	case o == nil:
	case before == nil:
		http.NotFound(w, r)
	default:
		o["replicas"], o["availableReplicas"] = before["replicas"], before["availableReplicas"]
		s.functions[name] = o
		w.WriteHeader(http.StatusAccepted)
	}
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	var in struct{ FunctionName, Namespace string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.FunctionName == "" {
		http.Error(w, "functionName is required", http.StatusBadRequest)
		return
	}
	name := key(in.Namespace, in.FunctionName)
	if s.functions[name] == nil {
		http.NotFound(w, r)
		return
	}
	delete(s.functions, name)
	w.WriteHeader(http.StatusAccepted)
}

func (s *Server) secret(w http.ResponseWriter, r *http.Request) {
	var in struct{ Name, Namespace, Value string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Name == "" {
		http.Error(w, "name is required", http.StatusBadRequest)
		return
	}
	_, there := s.secrets[in.Name]
	switch {
	case r.Method == http.MethodPut && !there:
		http.NotFound(w, r)
	case r.Method == http.MethodPost && there:
		http.Error(w, "the secret exists", http.StatusConflict)
	default:
		s.secrets[in.Name] = in.Value
		w.WriteHeader(map[bool]int{true: http.StatusOK, false: http.StatusCreated}[there])
	}
}

func (s *Server) invoke(w http.ResponseWriter, r *http.Request) {
	name, namespace, _ := strings.Cut(r.PathValue("name"), ".")
	s.mu.Lock()
	o := s.functions[key(namespace, name)]
	s.mu.Unlock()
	switch {
	case o == nil:
		http.NotFound(w, r)
	case o["availableReplicas"] == 0:
		http.Error(w, "no replica is ready", http.StatusServiceUnavailable)
	case s.call != nil:
		s.call.ServeHTTP(w, r)
	default:
		_, _ = io.Copy(io.Discard, r.Body)
	}
}
