package gateway

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// openapi answers the document, which is made when it is first asked for: anybody
// may ask, and making it takes milliseconds.
func (s *Server) openapi(c *fiber.Ctx) error {
	b, err := s.openAPI()
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	c.Response().SetBodyRaw(b)
	return nil
}

// document is the OpenAPI 3.1 description of the route table.
func (s *Server) document() schema {
	paths := schema{}
	for _, r := range s.routes {
		path := openAPIPath(r.path)
		if paths[path] == nil {
			paths[path] = schema{}
		}
		paths[path].(schema)[strings.ToLower(r.method)] = s.guardedOperation(r).document(r.path)
	}
	return schema{
		"openapi": "3.1.0",
		"info": schema{
			"title": "Signalbox", "version": "v1",
			"description": "A serverless function gateway for CloudEvents. Every refusal is a problem document (RFC 9457).",
		},
		"servers":    []any{schema{"url": "/"}},
		"paths":      paths,
		"components": schema{"schemas": components(), "securitySchemes": securitySchemes()},
	}
}

var pathParam = regexp.MustCompile(`:([a-z]+)`)

// openAPIPath writes /a/:name/* as /a/{name}/{path}.
func openAPIPath(path string) string {
	return strings.Replace(pathParam.ReplaceAllString(path, "{$1}"), "*", "{path}", 1)
}

func (o operation) document(path string) schema {
	out := schema{"operationId": o.id, "summary": o.summary, "tags": []any{o.tag}, "responses": o.responses(), "security": o.security}
	if o.security == nil {
		out["security"] = []any{}
	}
	var all []any
	for _, m := range pathParam.FindAllStringSubmatch(path, -1) {
		all = append(all, schema{"name": m[1], "in": "path", "required": true, "schema": text()})
	}
	if strings.HasSuffix(path, "*") {
		all = append(all, schema{"name": "path", "in": "path", "required": true, "schema": text()})
	}
	for _, p := range o.params {
		all = append(all, p.document())
	}
	if len(all) > 0 {
		out["parameters"] = all
	}
	if len(o.body) > 0 {
		out["requestBody"] = schema{"required": !o.bodyOptional, "content": content(o.body)}
	}
	return out
}

func (p param) document() schema {
	if p.schema == nil {
		p.schema = text()
	}
	if all, ok := p.schema["enum"].([]any); ok && !p.required { // nothing is as good as none
		p.schema = schema{"type": "string", "enum": append(slices.Clip(all), "")}
	}
	out := schema{"name": p.name, "in": p.in, "description": p.what, "schema": p.schema}
	if p.required {
		out["required"] = true
	}
	return out
}

func (o operation) responses() schema {
	out := schema{}
	for _, r := range o.answers {
		one, again := out[statusKey(r.status)].(schema)
		if !again {
			one = schema{"description": r.what, "headers": headersOf(r.status)}
			out[statusKey(r.status)] = one
		}
		if r.contentType == "" {
			continue
		}
		forms, _ := one["content"].(schema)
		if forms == nil {
			forms = schema{}
			one["content"] = forms
		}
		maps.Copy(forms, content([]media{r.media}))
	}
	return out
}

// headersOf are the headers of an answer that say something to its status.
func headersOf(status int) schema {
	out := schema{"X-Request-Id": schema{"description": "the request's id: its own, if it brought one, else a new one", "schema": text()}}
	switch status {
	case 401:
		out["WWW-Authenticate"] = schema{"description": "how to authenticate (RFC 6750)", "schema": text()}
	case 429, 503:
		out["Retry-After"] = schema{"description": "seconds to wait", "schema": schema{"type": "integer", "minimum": 1}}
	}
	return out
}

func content(all []media) schema {
	out := schema{}
	for _, m := range all {
		one := schema{"schema": m.schema}
		if m.example != nil {
			one["example"] = m.example
		}
		out[m.contentType] = one
	}
	return out
}
