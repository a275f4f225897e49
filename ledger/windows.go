package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/signalbox-dev/signalbox/event"
)

const (
	// shards is the number of hash tags the buckets are spread over, so that a
	// cluster's nodes get even parts and one script can take several records.
	shards = 256
	// fieldSize is the length of an id inside its bucket, in bytes. With the
	// bucket's number this tells ids apart by some 98 bits: a collision, which
	// would drop an event, is out of question (2^-45 with 10^8 ids).
	fieldSize = 10
	// clockSkew is how far apart the clocks of two replicas may be around the
	// turn of a window without both claiming one id.
	clockSkew = time.Minute
)

// fingerprint is the truncated SHA-256 of source NUL id: the first four bytes
// choose the bucket, the rest is the field in it.
type fingerprint [4 + fieldSize]byte

func fingerprintOf(source, id string) fingerprint {
	var stack [256]byte
	b := append(stack[:0], source...)
	b = append(b, 0)
	b = append(b, id...)
	sum := sha256.Sum256(b)
	return fingerprint(sum[:len(fingerprint{})])
}

// windows names the buckets. Time is cut into windows of equal length; an id
// is claimed in the window of now and looked for in the one before as well, so
// it is remembered for one to two lengths. A bucket is a hash
// `<prefix>d:{<shard>}<window>:<bucket>` of field to coordinates, and expires
// as a whole when its window is no longer looked into.
type windows struct {
	// prefix ends with the brace that opens the hash tag.
	prefix  string
	window  time.Duration
	buckets uint32
}

func (w *windows) bucket(f *fingerprint) uint32 { return binary.BigEndian.Uint32(f[:4]) % w.buckets }

// at returns the windows to look into at a time, that which takes claims
// first. Close to the turn this includes the next one: a replica whose clock is
// ahead may have claimed there.
func (w *windows) at(now time.Time) (numbers [3]int64, n int) {
	t, length := now.UnixNano(), int64(w.window)
	numbers = [3]int64{t / length, t/length - 1, t/length + 1}
	if length-t%length <= int64(min(clockSkew, w.window/2)) {
		return numbers, 3
	}
	return numbers, 2
}

// ttl is how long a bucket made now is needed. The random part keeps the
// buckets of one window from expiring in the same moment.
func (w *windows) ttl(now time.Time) time.Duration {
	length := int64(w.window)
	needed := 2*length - now.UnixNano()%length
	return time.Duration(needed) + min(clockSkew, w.window/2) + rand.N(w.window/64+1) // #nosec G404 -- jitter
}

// appendKey appends the Redis key of a bucket.
func (w *windows) appendKey(b []byte, bucket uint32, window int64) []byte {
	b = append(b, w.prefix...)
	b = hex.AppendEncode(b, []byte{byte(bucket % shards)})
	b = append(b, '}')
	b = strconv.AppendInt(b, window, 36)
	b = append(b, ':')
	return strconv.AppendUint(b, uint64(bucket/shards), 36)
}

// appendPosition appends the coordinates in the fewest bytes: the partition as
// a varint, then the offset, big-endian, without leading zeros.
func appendPosition(b []byte, p event.Position) []byte {
	b = binary.AppendUvarint(b, uint64(uint32(p.Partition)))
	var offset [8]byte
	binary.BigEndian.PutUint64(offset[:], uint64(p.Offset))
	i := 0
	for i < len(offset) && offset[i] == 0 {
		i++
	}
	return append(b, offset[i:]...)
}

// parsePosition reads what appendPosition wrote.
func parsePosition(s string) (event.Position, bool) {
	partition, n := binary.Uvarint([]byte(s))
	if n <= 0 || partition > 1<<32-1 || len(s)-n > 8 {
		return event.Position{}, false
	}
	var offset [8]byte
	copy(offset[8-(len(s)-n):], s[n:])
	return event.Position{Partition: int32(uint32(partition)), Offset: int64(binary.BigEndian.Uint64(offset[:]))}, true
}
