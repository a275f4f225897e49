package api

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/resource"
)

// manifestTypes are the media types a resource may be sent as; none at all is
// read as YAML too, of which JSON is a subset.
const manifestTypes = "application/json, application/yaml"

// decode reads the one resource of a body; it must be of kind k.
func decode(c *fiber.Ctx, k resource.Kind) (resource.Object, error) {
	if err := checkManifestType(c); err != nil {
		return resource.Object{}, err
	}
	o, err := resource.DecodeOne(c.Context().Request.Body())
	if err != nil {
		return o, err
	}
	if o.Kind != k.Name {
		return o, resource.Faults{{Field: "kind", Problem: fmt.Sprintf("%q: want %s, as the path says", o.Kind, k.Name)}}
	}
	return o, nil
}

func checkManifestType(c *fiber.Ctx) error {
	switch t := mediaType(c.Get(fiber.HeaderContentType)); {
	case t == "", t == "application/json", strings.HasSuffix(t, "+json"),
		t == "application/yaml", t == "application/x-yaml", t == "text/yaml", t == "text/x-yaml":
		return nil
	}
	return problem.New(problem.UnsupportedMediaType, "Content-Type: want one of %s", manifestTypes)
}

// mediaType is the type without parameters, in lower case.
func mediaType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

func objectJSON(o *resource.Object) ([]byte, error) { return json.Marshal(o) }

// answerObject writes one resource with its revision as the entity tag.
func answerObject(c *fiber.Ctx, status int, o *resource.Object) error {
	c.Set(fiber.HeaderETag, etag(o))
	return answer(c, status, o)
}
