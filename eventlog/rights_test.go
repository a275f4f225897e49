package eventlog

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestAMissingRightIsNamed(t *testing.T) {
	other := errors.New("other")
	for _, c := range []struct {
		err  error
		want string
	}{
		{kerr.TopicAuthorizationFailed, "the Kafka user lacks the right Read on topic x: TOPIC_AUTHORIZATION_FAILED"},
		{fmt.Errorf("join: %w", kerr.GroupAuthorizationFailed), "the Kafka user lacks the right Read on group x: join: GROUP_AUTHORIZATION_FAILED"},
		{other, "other"},
	} {
		if got := lacking(c.err, "Read", "x"); !strings.HasPrefix(got.Error(), c.want) || !errors.Is(got, c.err) {
			t.Errorf("%v: got %v", c.err, got)
		}
	}
	if lacking(nil, "Read", "x") != nil {
		t.Error("no error became one")
	}
}

func TestARefusedAppendIsLoggedSeldom(t *testing.T) {
	var b bytes.Buffer
	l := &Log{log: slog.New(slog.NewTextHandler(&b, nil))}
	for range 3 {
		if err := appendError(l.refusedWrite("x", kerr.TopicAuthorizationFailed)); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "lacks the right Write on topic x") {
			t.Error(err)
		}
	}
	if n := strings.Count(b.String(), "level=ERROR"); n != 1 {
		t.Errorf("logged %d times: %s", n, b.String())
	}
}
