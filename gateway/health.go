package gateway

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/gofiber/fiber/v2"
)

// healthz answers as long as the process can answer at all.
func (s *Server) healthz(c *fiber.Ctx) error {
	return writeJSON(c, fiber.StatusOK, map[string]string{"status": "alive"})
}

// readiness is the answer of /readyz.
type readiness struct {
	// Status is ready, unready or stopping.
	Status string            `json:"status"`
	Checks map[string]health `json:"checks"`
}

// health is one check's result.
type health struct {
	// Status is ok or failing.
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

// readyz asks every check, at the same time: 503 when one fails.
func (s *Server) readyz(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.CheckTimeout)
	defer cancel()
	results := make([]error, len(s.deps.Checks))
	var wg sync.WaitGroup
	for i, check := range s.deps.Checks {
		wg.Go(func() { results[i] = check.Probe(ctx) })
	}
	wg.Wait()
	r := readiness{Status: "ready", Checks: map[string]health{}}
	for i, err := range results {
		h := health{Status: "ok"}
		if err != nil {
			h, r.Status = health{Status: "failing", Error: err.Error()}, "unready"
		}
		r.Checks[s.deps.Checks[i].Name] = h
	}
	if s.stopping.Load() {
		r.Status = "stopping"
	}
	status := fiber.StatusOK
	if r.Status != "ready" {
		status = fiber.StatusServiceUnavailable
		c.Set(fiber.HeaderRetryAfter, "1")
	}
	return writeJSON(c, status, r)
}

func writeJSON(c *fiber.Ctx, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Status(status).Send(b)
}
