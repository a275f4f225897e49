package eventlog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// The settings of a compacted topic that keep older versions and deletions for
// some time, in milliseconds.
var versionSettings = [...]string{"min.compaction.lag.ms", "delete.retention.ms"}

// versionSlack is how much longer a version is kept than the events that were
// chosen for by it.
const versionSlack = 24 * time.Hour

// brokerRetention is Kafka's own, where nothing else is known.
const brokerRetention = 7 * 24 * time.Hour

// versionMillis is how long versions are to be kept beside events that are kept
// for so long; negative is for ever.
func versionMillis(events time.Duration) int64 {
	if events < 0 {
		return math.MaxInt64
	}
	return (events + versionSlack).Milliseconds()
}

// keepVersions sees to it that the broker keeps each version of a resource at
// least as long as events, also on a topic that was made before. More than that
// is left as it is. Who may not look at or change the settings (it takes the
// rights DescribeConfigs and AlterConfigs) goes on without: then events may be
// older than what is known of the resources they were chosen by.
func (l *Log) keepVersions(ctx context.Context) {
	if l.cfg.Embedded {
		return // Compact does it
	}
	events, versions := l.topicName(Events), l.topicName(Resources)
	settings, err := l.settings(ctx, events, versions)
	if err == nil && strings.Contains(settings[versions]["cleanup.policy"], "compact") {
		retention := brokerRetention
		if ms, err := strconv.ParseInt(settings[events]["retention.ms"], 10, 64); err == nil {
			retention = millis(ms)
		}
		err = l.raise(ctx, versions, settings[versions], versionMillis(retention))
	}
	if err != nil {
		l.log.Warn("the broker may forget versions of resources before the events they chose for", "topic", versions, "error", err)
	}
}

// millis is a duration; negative when it is too long for one, or was.
func millis(ms int64) time.Duration {
	if ms < 0 || ms > (math.MaxInt64-int64(versionSlack))/int64(time.Millisecond) {
		return -1
	}
	return time.Duration(ms) * time.Millisecond
}

// settings are those of topics, by name.
func (l *Log) settings(ctx context.Context, topics ...string) (map[string]map[string]string, error) {
	described, err := l.adm.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return nil, err
	}
	all := make(map[string]map[string]string, len(topics))
	for _, r := range described {
		if r.Err != nil {
			return nil, fmt.Errorf("settings of %s: %w", r.Name, r.Err)
		}
		all[r.Name] = make(map[string]string, len(r.Configs))
		for _, c := range r.Configs {
			all[r.Name][c.Key] = c.MaybeValue()
		}
	}
	return all, nil
}

// raise brings the settings of a topic up to so many milliseconds.
func (l *Log) raise(ctx context.Context, topic string, have map[string]string, ms int64) error {
	want := strconv.FormatInt(ms, 10)
	var changes []kadm.AlterConfig
	for _, name := range versionSettings {
		if now, err := strconv.ParseInt(have[name], 10, 64); err != nil || now < ms {
			changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &want})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	resp, err := l.adm.AlterTopicConfigs(ctx, changes, topic)
	for _, r := range resp {
		err = errors.Join(err, r.Err)
	}
	if err == nil {
		l.log.Info("older versions of resources are kept as long as events", "topic", topic, "ms", ms)
	}
	return err
}
