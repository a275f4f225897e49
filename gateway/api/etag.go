package api

import (
	"errors"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/gateway/parameter"
	"github.com/signalbox-dev/signalbox/gateway/problem"
	"github.com/signalbox-dev/signalbox/resource"
)

// etag is the entity tag of a resource: its revision in quotes.
func etag(o *resource.Object) string {
	return `"` + strconv.FormatUint(o.Metadata.Revision, 10) + `"`
}

// tagIn reports whether a list of entity tags (RFC 9110, section 13.1) has tag.
func tagIn(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
		if part == tag || part == "*" {
			return true
		}
	}
	return false
}

// condition is what the request makes of a write: If-None-Match: *, If-Match
// with one revision, or the revision given elsewhere in it (0: none).
func condition(c *fiber.Ctx, given uint64) (Condition, error) {
	if c.Get(fiber.HeaderIfNoneMatch) == "*" {
		return Condition{Absent: true}, nil
	}
	match := c.Get(fiber.HeaderIfMatch)
	if match == "" || match == "*" {
		return Condition{Revision: given}, nil
	}
	rev, err := strconv.ParseUint(strings.Trim(match, `"`), 10, 63)
	if err != nil || rev == 0 {
		return Condition{}, problem.New(problem.InvalidQuery, `If-Match %q: want the ETag of the resource, such as "17"`, parameter.Clip(match))
	}
	if given != 0 && given != rev {
		return Condition{}, problem.New(problem.InvalidQuery, "If-Match says revision %d, the rest of the request %d", rev, given)
	}
	return Condition{Revision: rev}, nil
}

// precondition turns a conflict into 412 when it was a header that asked.
func precondition(c *fiber.Ctx, err error) error {
	if errors.Is(err, problem.ErrConflict) && c.Get(fiber.HeaderIfMatch) != "" ||
		errors.Is(err, problem.ErrExists) && c.Get(fiber.HeaderIfNoneMatch) == "*" {
		return problem.Wrap(problem.PreconditionFailed, err)
	}
	return err
}
