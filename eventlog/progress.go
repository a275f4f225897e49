package eventlog

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strings"
)

// The metadata of a commit says which records beyond the committed offset are
// settled: "sb1" + form + unpadded URL-safe base64 of
//
//	form r: (gap, length) pairs of unsigned varints, starting at the committed offset
//	form b: a bitmap, bit i (from the lowest of the first byte) is committed offset + i
//
// whichever covers more, or else is shorter. What does not fit is left out from
// the end, which costs repeated deliveries after a crash, never a lost one.
const (
	progressMark = "sb1"
	// maxMetadata is Kafka's default offset.metadata.max.bytes.
	maxMetadata = 4096
	// maxProgress is how many bytes of it remain before base64.
	maxProgress = (maxMetadata - len(progressMark) - 1) / 4 * 3
	// maxRuns and maxBits are how many ranges, or offsets, fit at most.
	maxRuns = maxProgress / 2
	maxBits = int64(maxProgress * 8)
)

// encodeProgress writes the settled ranges beyond the committed offset base;
// "" when there are none.
func encodeProgress(base int64, ahead []span) string {
	if len(ahead) == 0 {
		return ""
	}
	raw, covered := encodeRuns(base, ahead)
	form := "r"
	bits := min(ahead[len(ahead)-1].to-base, maxBits)
	if within := coveredBits(base, ahead); within > covered || within == covered && int(bits+7)/8 < len(raw) {
		form, raw = "b", encodeBitmap(base, ahead, bits)
	}
	if len(raw) == 0 {
		return ""
	}
	return progressMark + form + base64.RawURLEncoding.EncodeToString(raw)
}

// coveredBits is how many settled records a bitmap can tell.
func coveredBits(base int64, ahead []span) (records int64) {
	for _, s := range ahead {
		if s.from-base >= maxBits {
			break
		}
		records += min(s.to-base, maxBits) - (s.from - base)
	}
	return records
}

// encodeRuns also says how many records did fit.
func encodeRuns(base int64, ahead []span) (raw []byte, covered int64) {
	raw = make([]byte, 0, min(maxProgress, 4*len(ahead)))
	for _, s := range ahead {
		var pair [2 * binary.MaxVarintLen64]byte
		n := binary.PutUvarint(pair[:], uint64(s.from-base))
		n += binary.PutUvarint(pair[n:], uint64(s.to-s.from))
		if len(raw)+n > maxProgress {
			return raw, covered
		}
		raw = append(raw, pair[:n]...)
		covered += s.to - s.from
		base = s.to
	}
	return raw, covered
}

func encodeBitmap(base int64, ahead []span, bits int64) []byte {
	raw := make([]byte, (bits+7)/8)
	for _, s := range ahead {
		for o := s.from - base; o < min(s.to-base, bits); o++ {
			raw[o>>3] |= 1 << (o & 7)
		}
	}
	return raw
}

// decodeProgress reads what encodeProgress wrote. Metadata that is not ours,
// or is damaged, says nothing: then records are delivered once more.
func decodeProgress(base int64, metadata string) []span {
	body, ours := strings.CutPrefix(metadata, progressMark)
	if !ours || body == "" || base < 0 {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(body[1:])
	if err != nil {
		return nil
	}
	switch body[0] {
	case 'r':
		return decodeRuns(base, raw)
	case 'b':
		return decodeBitmap(base, raw)
	}
	return nil
}

func decodeRuns(base int64, raw []byte) []span {
	var ahead []span
	for len(raw) > 0 {
		gap, n := binary.Uvarint(raw)
		if n <= 0 {
			return nil
		}
		length, m := binary.Uvarint(raw[n:])
		room := uint64(math.MaxInt64 - base)
		if m <= 0 || length == 0 || gap > room || length > room-gap {
			return nil
		}
		s := span{base + int64(gap), base + int64(gap) + int64(length)}
		ahead = append(ahead, s)
		base = s.to
		raw = raw[n+m:]
	}
	return ahead
}

func decodeBitmap(base int64, raw []byte) []span {
	if int64(len(raw))*8 > math.MaxInt64-base {
		return nil
	}
	var ahead []span
	for i := range int64(len(raw)) * 8 {
		if raw[i>>3]&(1<<(i&7)) == 0 {
			continue
		}
		if last := len(ahead) - 1; last >= 0 && ahead[last].to == base+i {
			ahead[last].to++
		} else {
			ahead = append(ahead, span{base + i, base + i + 1})
		}
	}
	return ahead
}
