package hooks

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// Preview is what a delivery would become.
type Preview struct {
	// Event is in the CloudEvents JSON format; null when the delivery would only be answered.
	Event json.RawMessage `json:"event"`
	// Answer is what a handshake would be answered with.
	Answer string `json:"answer,omitempty"`
	// Verified says whether it would be taken, Why why not.
	Verified bool   `json:"verified"`
	Why      string `json:"why,omitempty"`
}

// Preview shows the event that a payload would become, and appends nothing. The
// request is the delivery: its headers, query and body.
func (h *Handler) Preview(c *fiber.Ctx) error {
	name := strings.Clone(c.Params("name"))
	taken, refusal, err := h.deps.Webhooks.Preview(name, delivery(c.Context(), h.deps.Now()))
	var refused *Refusal
	if errors.As(err, &refused) {
		return asProblem(refused)
	}
	if err != nil {
		return err
	}
	out := Preview{Event: json.RawMessage("null"), Answer: string(taken.Answer), Verified: refusal == nil}
	if refusal != nil {
		out.Why = refusal.Error()
	}
	if taken.Event != nil {
		out.Event = taken.Event.AppendJSON(nil)
	}
	return c.JSON(out)
}
