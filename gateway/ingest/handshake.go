package ingest

import (
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// Allow lists the methods of the route.
const Allow = "OPTIONS, POST"

// Options answers the CloudEvents webhook handshake ("HTTP 1.1 Web Hooks for
// Event Delivery", section 4). Consent is in the headers; the status says
// nothing. WebHook-Request-Callback is never called: the URL is the
// stranger's, and calling it would let him aim our requests.
func (h *Handler) Options(c *fiber.Ctx) error {
	c.Set(fiber.HeaderAllow, Allow)
	origin := c.Get("WebHook-Request-Origin")
	if origin == "" {
		return nil
	}
	allowed, ok := h.consent(origin)
	if !ok {
		return nil
	}
	rate, err := h.grant(c.Get("WebHook-Request-Rate"))
	if err != nil {
		return err
	}
	c.Set("WebHook-Allowed-Origin", allowed)
	c.Set("WebHook-Allowed-Rate", rate)
	return nil
}

// consent returns what to answer an origin: never its own words.
func (h *Handler) consent(origin string) (string, bool) {
	for _, o := range h.config.WebhookAllowedOrigins {
		if o == "*" || strings.EqualFold(o, origin) {
			return o, true
		}
	}
	return "", false
}

// grant answers the rate asked for ("" is none asked), in requests a minute.
func (h *Handler) grant(asked string) (string, error) {
	most := h.config.WebhookAllowedRate
	if asked == "" || asked == "*" {
		return rateString(most), nil
	}
	n, err := strconv.Atoi(asked)
	if err != nil || n < 1 {
		return "", problem.New(problem.MalformedRequest, "WebHook-Request-Rate: want a whole number of requests a minute, at least 1")
	}
	if most > 0 && n > most {
		n = most
	}
	if most == 0 {
		return "*", nil
	}
	return strconv.Itoa(n), nil
}

func rateString(n int) string {
	if n == 0 {
		return "*"
	}
	return strconv.Itoa(n)
}

// validOrigin reports whether s may stand in WebhookAllowedOrigins.
func validOrigin(s string) bool {
	if s == "*" {
		return true
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != ':' {
			return false
		}
	}
	return s != ""
}
