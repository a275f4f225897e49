package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/resource"
)

// ContentType is the media type of a problem document (RFC 9457).
const ContentType = "application/problem+json"

// retryAfter is what a client is told to wait when nobody knows better.
const retryAfter = time.Second

// Problem is one refusal. It is an error, so handlers return it.
type Problem struct {
	Kind   Kind   `json:"-"`
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// RequestID names the request, as X-Request-Id of the answer does.
	RequestID string `json:"requestId,omitempty"`
	// Attribute is the context attribute at fault, when it is one.
	Attribute string `json:"attribute,omitempty"`
	// Index is that of the first bad event of a batch, from 0.
	Index *int `json:"index,omitempty"`
	// Errors are all the bad events of a batch.
	Errors []Item `json:"errors,omitempty"`
	// Violations are where the data of the first bad event do not satisfy a schema.
	Violations []Violation `json:"violations,omitempty"`
	// Faults are what is wrong with resources.
	Faults resource.Faults `json:"faults,omitempty"`
	// Sources are the candidates when an id alone is not enough.
	Sources []string `json:"sources,omitempty"`

	// Allow, Challenge (WWW-Authenticate) and RetryAfter are sent as headers; ""
	// and 0 are not.
	Allow      string        `json:"-"`
	Challenge  string        `json:"-"`
	RetryAfter time.Duration `json:"-"`
	// Close ends the connection after the answer.
	Close bool `json:"-"`
	// cause is what led to it.
	cause error
}

// Item is what is wrong with one event of a batch.
type Item struct {
	Index     int    `json:"index"`
	Attribute string `json:"attribute,omitempty"`
	Detail    string `json:"detail"`
}

// Violation is one place of an event's data that does not satisfy a schema.
type Violation struct {
	// Schema is the name of the Schema.
	Schema string `json:"schema"`
	// Path is a JSON pointer (RFC 6901) into the data; "" is all of it.
	Path string `json:"path"`
	// Keyword is the keyword of the schema that fails; "" when the data are no JSON,
	// or cannot be checked.
	Keyword string `json:"keyword,omitempty"`
	Detail  string `json:"detail"`
}

// New makes a problem of a kind with its detail formatted.
func New(k Kind, format string, args ...any) *Problem {
	p := &Problem{Kind: k, Type: base + k.Slug(), Title: k.Title(), Status: k.Status(), Detail: fmt.Sprintf(format, args...)}
	if p.Status == fasthttp.StatusTooManyRequests || p.Status == fasthttp.StatusServiceUnavailable {
		p.RetryAfter = retryAfter
	}
	return p
}

// Wrap is New with the cause's text as the detail; errors.Is finds the cause.
// A RetryError among the causes says when to come again.
func Wrap(k Kind, cause error) *Problem {
	p := New(k, "%s", cause.Error())
	p.cause = cause
	var retry *RetryError
	if p.RetryAfter > 0 && errors.As(cause, &retry) && retry.After > 0 {
		p.RetryAfter = retry.After
	}
	return p
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.cause }

// Write answers the request with the problem.
func (p *Problem) Write(ctx *fasthttp.RequestCtx) {
	p.WriteResponse(&ctx.Response)
}

// WriteResponse is Write for a response that belongs to no request context.
func (p *Problem) WriteResponse(r *fasthttp.Response) {
	b, err := json.Marshal(p)
	if err != nil { // nothing in it can fail to marshal
		b = []byte(`{"type":"` + base + `internal","title":"Internal error","status":500}`)
	}
	r.ResetBody()
	r.SetStatusCode(p.Status)
	r.Header.SetContentType(ContentType)
	if p.Allow != "" {
		r.Header.Set("Allow", p.Allow)
	}
	if p.Challenge != "" {
		r.Header.Set("WWW-Authenticate", p.Challenge)
	}
	if p.RetryAfter > 0 {
		seconds := int64((p.RetryAfter + time.Second - 1) / time.Second)
		r.Header.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if p.Kind == UnsupportedEncoding {
		r.Header.Set("Accept-Encoding", "identity")
	}
	if p.Close {
		r.SetConnectionClose()
	}
	r.SetBodyRaw(b)
}
