package eventlog

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// lacking names in an error of the broker's authorizer the right that the user
// lacks; other errors stay as they are. resource is the name of a topic or group;
// docs/operations.md lists the rights that are needed.
func lacking(err error, right, resource string) error {
	kind := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.TopicAuthorizationFailed),
		errors.Is(err, kerr.ClusterAuthorizationFailed): // of a producer that may write to no topic at all
		kind = "topic"
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		kind = "group"
	default:
		return err
	}
	return fmt.Errorf("the Kafka user lacks the right %s on %s %s: %w", right, kind, resource, err)
}

// seldom lets something be said once in ten seconds.
type seldom struct{ last atomic.Int64 }

func (s *seldom) now() bool {
	now := time.Now().UnixNano()
	last := s.last.Load()
	return now-last >= int64(10*time.Second) && s.last.CompareAndSwap(last, now)
}

// refusedWrite says what a failed append to a topic lacks, and logs it: who is
// answered 503 for it cannot put it right.
func (l *Log) refusedWrite(topic string, err error) error {
	lacks := lacking(err, "Write", topic)
	if lacks != err && l.denials.now() {
		l.log.Error("the broker refuses what is appended", "topic", topic, "error", lacks)
	}
	return lacks
}
