package eventlog

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
)

// EventBytes is how many bytes of disk an event takes on the mean, in one
// replica of the events topic and as it is compressed; 0 while there is none.
// Who may not ask for sizes (it takes the right Describe on the cluster) gets
// the mean of what this process has appended, uncompressed; known is false then.
func (l *Log) EventBytes(ctx context.Context) (mean float64, known bool) {
	extents, err := l.bounds(ctx, Events)
	if err != nil {
		return l.ownEventBytes(), false
	}
	records, set := int64(0), make(kadm.TopicsSet)
	for p, b := range extents {
		records += b.end - b.start
		set.Add(l.topicName(Events), p)
	}
	dirs, err := l.adm.DescribeAllLogDirs(ctx, set)
	if err != nil {
		return l.ownEventBytes(), false
	}
	largest, total := make(map[int32]int64), int64(0) // of the replicas: a new one may not have everything yet
	for _, d := range dirs {
		d.EachPartition(func(p kadm.DescribedLogDirPartition) { largest[p.Partition] = max(largest[p.Partition], p.Size) })
	}
	for _, size := range largest {
		total += size
	}
	if len(largest) == 0 {
		return l.ownEventBytes(), false
	}
	return float64(total) / float64(max(1, records)), true
}

func (l *Log) ownEventBytes() float64 {
	return float64(l.stats.eventBytes.Load()) / float64(max(1, l.stats.events.Load()))
}
