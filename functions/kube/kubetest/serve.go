package kubetest

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
)

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	if r.Method != http.MethodGet {
		s.log = append(s.log, r.Method+" "+r.URL.Path)
	}
	if s.refuse != nil {
		if status, message := s.refuse(r.Method, r.URL.Path); status != 0 {
			s.mu.Unlock()
			fail(w, status, reasons[status], message, nil)
			return
		}
	}
	if r.URL.Query().Get("watch") == "true" {
		s.mu.Unlock()
		s.watch(w, r)
		return
	}
	if pod, is := strings.CutSuffix(r.URL.Path, "/log"); is {
		s.mu.Unlock()
		s.follow(w, r, pod)
		return
	}
	defer s.mu.Unlock()
	switch r.Method {
	case http.MethodGet:
		s.read(w, r)
	case http.MethodPatch:
		s.patch(w, r, body)
	case http.MethodPost:
		s.create(w, r, body)
	case http.MethodDelete:
		s.remove(w, r, body)
	default:
		fail(w, http.StatusMethodNotAllowed, "MethodNotAllowed", r.Method, nil)
	}
}

var reasons = map[int]string{403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired", 422: "Invalid"}

func fail(w http.ResponseWriter, status int, reason, message string, details Object) {
	w.WriteHeader(status)
	answer(w, Object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status, "message": message, "details": details})
}

func answer(w http.ResponseWriter, o Object) { _ = json.NewEncoder(w).Encode(o) }

// collection reports whether a path is that of all objects of a kind.
func collection(path string) bool {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, p := range parts {
		if p == "namespaces" {
			return len(parts) == i+3
		}
	}
	return false
}

func (s *Server) read(w http.ResponseWriter, r *http.Request) {
	if !collection(r.URL.Path) {
		s.one(w, r.URL.Path)
		return
	}
	items := []any{}
	for path, o := range s.objects {
		if strings.HasPrefix(path, r.URL.Path+"/") && selected(o, r) {
			items = append(items, o)
		}
	}
	answer(w, Object{"kind": "List", "apiVersion": "v1", "metadata": Object{"resourceVersion": strconv.Itoa(s.revision)}, "items": items})
}

func (s *Server) one(w http.ResponseWriter, path string) {
	if o := s.objects[path]; o != nil {
		answer(w, o)
		return
	}
	fail(w, 404, "NotFound", path+" not found", Object{"name": path})
}

func selected(o Object, r *http.Request) bool {
	selector := r.URL.Query().Get("labelSelector")
	if selector == "" {
		return true
	}
	meta, _ := o["metadata"].(Object)
	labels, _ := meta["labels"].(Object)
	for _, want := range strings.Split(selector, ",") {
		key, value, _ := strings.Cut(want, "=")
		if labels[key] != value {
			return false
		}
	}
	return true
}

func (s *Server) create(w http.ResponseWriter, r *http.Request, body []byte) {
	var in Object
	if err := json.Unmarshal(body, &in); err != nil {
		fail(w, 400, "BadRequest", err.Error(), nil)
		return
	}
	name, _ := child(in, "metadata")["name"].(string)
	path := r.URL.Path + "/" + name
	if s.objects[path] != nil {
		fail(w, 409, "AlreadyExists", path+" already exists", nil)
		return
	}
	s.store(path, in)
	answer(w, s.objects[path])
}

func (s *Server) patch(w http.ResponseWriter, r *http.Request, body []byte) {
	var in Object
	if err := json.Unmarshal(body, &in); err != nil {
		fail(w, 400, "BadRequest", err.Error(), nil)
		return
	}
	path, o := r.URL.Path, clone(s.objects[r.URL.Path])
	apply := strings.HasPrefix(r.Header.Get("Content-Type"), "application/apply-patch")
	switch {
	case o == nil && !apply:
		s.one(w, path)
		return
	case o == nil:
		o = Object{}
	}
	meta, _ := in["metadata"].(Object)
	if want, is := meta["resourceVersion"]; is && want != child(o, "metadata")["resourceVersion"] {
		fail(w, 409, "Conflict", "the object was changed", nil)
		return
	}
	if apply && r.URL.Query().Get("force") != "true" && s.conflict(w, path, in) {
		return
	}
	before := clone(o)
	merge(o, in)
	if !reflect.DeepEqual(before, clone(o)) {
		s.store(path, o)
	}
	answer(w, s.objects[path])
}

// conflict answers with the fields of in that are others'.
func (s *Server) conflict(w http.ResponseWriter, path string, in Object) bool {
	var causes []any
	for key, manager := range s.owned {
		of, field, _ := strings.Cut(key, " ")
		if of == path && has(in, strings.Split(strings.Trim(field, "."), ".")) {
			causes = append(causes, Object{"reason": "FieldManagerConflict", "field": field, "message": `conflict with "` + manager + `"`})
		}
	}
	if causes != nil {
		fail(w, 409, "Conflict", "Apply failed with conflicts", Object{"causes": causes})
	}
	return causes != nil
}

func has(o Object, fields []string) bool {
	v, ok := o[fields[0]]
	if !ok || len(fields) == 1 {
		return ok
	}
	inner, ok := v.(Object)
	return ok && has(inner, fields[1:])
}

func merge(o, in Object) {
	for k, v := range in {
		inner, ok := v.(Object)
		if have, isMap := o[k].(Object); ok && isMap {
			merge(have, inner)
			continue
		}
		if v == nil {
			delete(o, k)
			continue
		}
		o[k] = v
	}
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request, body []byte) {
	o := s.objects[r.URL.Path]
	if o == nil {
		s.one(w, r.URL.Path)
		return
	}
	var opts struct {
		Preconditions struct{ ResourceVersion *string }
	}
	_ = json.Unmarshal(body, &opts)
	if want := opts.Preconditions.ResourceVersion; want != nil && *want != child(o, "metadata")["resourceVersion"] {
		fail(w, 409, "Conflict", "the object was changed", nil)
		return
	}
	s.drop(r.URL.Path)
	answer(w, Object{"kind": "Status", "apiVersion": "v1", "status": "Success"})
}

func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	flush := http.NewResponseController(w)
	_ = flush.Flush()
	for {
		s.mu.Lock()
		var due []change
		for _, c := range s.changes {
			if c.revision > from && strings.HasPrefix(c.path, r.URL.Path+"/") && selected(c.object, r) {
				due = append(due, c)
			}
		}
		from = s.revision
		more := s.changed
		s.mu.Unlock()
		for _, c := range due {
			answer(w, Object{"type": c.kind, "object": c.object})
		}
		_ = flush.Flush()
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}

// follow answers with what a pod printed since a time and, where that is asked
// for, with what it prints until it is gone.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, pod string) {
	since, _ := time.Parse(time.RFC3339, r.URL.Query().Get("sinceTime"))
	flush := http.NewResponseController(w)
	for n := 0; ; {
		s.mu.Lock()
		there, lines, more := s.objects[pod] != nil, s.printed[pod][n:], s.changed
		s.mu.Unlock()
		if !there && n == 0 {
			fail(w, 404, "NotFound", "no such pod", nil)
			return
		}
		for _, line := range lines {
			stamp, _, _ := strings.Cut(line, " ")
			if at, err := time.Parse(time.RFC3339Nano, stamp); err != nil || !at.Before(since) {
				_, _ = io.WriteString(w, line+"\n")
			}
			n++
		}
		_ = flush.Flush()
		if !there || r.URL.Query().Get("follow") != "true" {
			return
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}
