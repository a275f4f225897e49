package webhook

import (
	"mime"
	"net/url"
	"strings"
	"time"
)

// Request is what came in. Nothing in it is kept after Take returned but Body,
// which the event's data may be.
type Request struct {
	Method string
	// Values returns every value of a header, by its canonical name, in order.
	Values func(name string) []string
	// Query is the raw query of the URL.
	Query string
	// Body is the raw body, before any decoding.
	Body []byte
	// Loopback: the sender's address is one of this machine.
	Loopback bool
	Now      time.Time
}

// one is the value of a header that must be there once.
func (r *Request) one(name string) (string, error) {
	switch v := r.Values(name); {
	case len(v) == 0:
		return "", refuse(Unverified, "header %s is missing", name)
	case len(v) > 1:
		return "", refuse(Unverified, "header %s stands %d times: want it once", name, len(v))
	case v[0] == "":
		return "", refuse(Unverified, "header %s is empty", name)
	default:
		return v[0], nil
	}
}

// header is the value of a header that may be missing; several are none.
func (r *Request) header(name string) string {
	if v := r.Values(name); len(v) == 1 {
		return v[0]
	}
	return ""
}

func (r *Request) contentType() string { return r.header("Content-Type") }

// isForm reports whether the body is a form.
func (r *Request) isForm() bool {
	t, _, err := mime.ParseMediaType(r.contentType())
	return err == nil && t == "application/x-www-form-urlencoded"
}

// query parses the query; what is malformed is left out.
func (r *Request) query() url.Values {
	v, _ := url.ParseQuery(r.Query)
	return v
}

// mayBeJSON: most providers send JSON, and some say nothing of it.
func (r *Request) mayBeJSON() bool {
	t, _, err := mime.ParseMediaType(r.contentType())
	return err != nil || t == "application/json" || strings.HasSuffix(t, "+json") || t == "text/plain"
}
