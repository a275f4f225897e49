package api

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/gateway/parameter"
	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// The headers by which a function reports of a delivery that it has under a lease.
const (
	headerStatus = "Signalbox-Status"
	headerLease  = "Signalbox-Lease"
)

// What a report may bring: as many events as an answer, and the start of a body.
const (
	maxReplies    = 100
	maxReportBody = 1024
)

// Reported is the answer to a report.
type Reported struct {
	Delivery string `json:"delivery"`
	// Until is when the lease ends now, if it was extended.
	Until time.Time `json:"until,omitzero"`
}

// Complete takes the end of a delivery under a lease: the body is what the call
// would have been answered with.
func (a *API) Complete(c *fiber.Ctx) error {
	report, err := a.report(c, "status")
	if err != nil {
		return err
	}
	if report.Status, err = reportedStatus(c); err != nil {
		return err
	}
	if report.Done() {
		report.Replies, err = replies(c)
	} else {
		body := c.Context().Request.Body()
		report.Body = strings.ToValidUTF8(string(body[:min(len(body), maxReportBody)]), "\uFFFD")
	}
	if err != nil {
		return err
	}
	return a.take(c, &report, Reported{Delivery: report.Delivery.String()})
}

// ExtendLease takes a lease that is to last longer.
func (a *API) ExtendLease(c *fiber.Ctx) error {
	report, err := a.report(c, "lease")
	if err != nil {
		return err
	}
	if report.Extend, err = event.ParseLease(headerOrQuery(c, headerLease, "lease")); err != nil {
		return problem.Wrap(problem.InvalidRequest, err)
	}
	return a.take(c, &report, Reported{Delivery: report.Delivery.String(), Until: report.Time.Add(report.Extend)})
}

// report begins a report of the delivery that the path names.
func (a *API) report(c *fiber.Ctx, parameter string) (event.Completion, error) {
	r := event.Completion{Time: a.deps.Now().UTC()}
	if _, err := a.query(c, parameter); err != nil {
		return r, err
	}
	var err error
	if r.Delivery, err = event.ParseDeliveryToken(strings.Clone(c.Params("token"))); err != nil {
		return r, problem.Wrap(problem.NotFound, err)
	}
	return r, nil
}

func (a *API) take(c *fiber.Ctx, r *event.Completion, out Reported) error {
	return a.within(func(ctx context.Context) error {
		if err := a.deps.Deliveries.Report(ctx, r); err != nil {
			return err
		}
		return answer(c, fiber.StatusAccepted, &out)
	})
}

func headerOrQuery(c *fiber.Ctx, header, parameter string) string {
	if v := c.Query(parameter); v != "" {
		return v
	}
	return c.Get(header)
}

// reportedStatus is what the call would have been answered with; 200 unless said.
func reportedStatus(c *fiber.Ctx) (int, error) {
	v := headerOrQuery(c, headerStatus, "status")
	if v == "" {
		return fiber.StatusOK, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 200 || n > 599 || n/100 == 3 {
		return 0, problem.New(problem.InvalidRequest, "%s %q: want 200 to 299 (done), or 400 to 599 (a failed attempt)", headerStatus, parameter.Clip(v))
	}
	return n, nil
}

// replies are the events of a request that says that it carries some.
func replies(c *fiber.Ctx) ([]*event.Event, error) {
	req := &c.Context().Request
	events, err := event.Parse(string(req.Header.ContentType()), req.Header.VisitAll, req.Body(), maxReplies)
	if errors.Is(err, event.ErrNotEvent) {
		return nil, nil
	}
	return events, err
}
