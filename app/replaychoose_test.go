package app

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox-dev/signalbox/policies"
)

func TestChoosingForThePastWaitsUntilAPolicyIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		skipped := fmt.Errorf("choosing: %w", &policies.PolicyError{Class: policies.ClassBreaker, RetryAfter: 5 * time.Second, Err: errors.New("x")})
		broken := &policies.PolicyError{Class: policies.ClassError, Err: errors.New("x")}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for name, c := range map[string]struct {
			ctx  context.Context
			err  error
			want error
			wait time.Duration
		}{
			"not asked":            {t.Context(), skipped, nil, 5 * time.Second},
			"not asked, and ended": {ended, skipped, context.Canceled, 0},
			"an error":             {t.Context(), broken, broken, 0},
		} {
			start := time.Now()
			if err := (linkChooser{}).untilAsked(c.ctx, c.err); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || time.Since(start) != c.wait {
				t.Errorf("%s: %v after %s, want %v after %s", name, err, time.Since(start), c.want, c.wait)
			}
		}
	})
}
