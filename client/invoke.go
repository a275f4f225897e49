package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/signalbox-dev/signalbox/event"
)

// maxAnswer bounds the answer of a function, in bytes.
const maxAnswer = 64 << 20

// maxReplies bounds the events of one answer.
const maxReplies = 1000

// Called is what a function answered.
type Called struct {
	Status int
	Header http.Header
	Body   []byte
}

// Invoke calls a function, name or name@version, with an event in binary mode and
// waits for its answer, whatever its status. What Signalbox itself refuses, or a
// function that does not answer, is a *Problem.
func (c *Client) Invoke(ctx context.Context, function string, e *event.Event) (Called, error) {
	if !e.FitsBinary() {
		return Called{}, errors.New("the event does not fit into HTTP headers")
	}
	header := http.Header{}
	e.VisitHTTPHeaders(func(name, value string) { header.Set(name, value) })
	resp, err := c.do(ctx, request{method: http.MethodPost, path: "/function/" + url.PathEscape(function), header: header, body: e.Data})
	if err != nil {
		return Called{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	if err != nil {
		return Called{}, err
	}
	if p := problemOf(resp, body); p != nil {
		return Called{}, p
	}
	return Called{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// problemOf tells a refusal of Signalbox from an answer of the function.
func problemOf(resp *http.Response, body []byte) *Problem {
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		return nil
	}
	p := readProblem(resp, body)
	if !strings.HasPrefix(p.Type, "https://signalbox.dev/problems/") {
		return nil
	}
	return p
}

// Events are those that the function answered with; none, and no error, where it
// answered with something else.
func (a *Called) Events() ([]*event.Event, error) {
	contentType := a.Header.Get("Content-Type")
	if mode, err := event.ModeOf(contentType); err == nil && mode == event.Binary && a.Header.Get("Ce-Specversion") == "" {
		return nil, nil
	}
	return event.Parse(contentType, event.Headers(a.Header), a.Body, maxReplies)
}
