package eventlog

import (
	"bytes"
	"encoding/binary"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lz4Block is how much one block of a frame holds: what Kafka's own clients
// use. The Kafka client's own compressor takes blocks of 4 MiB, and with them
// buffers of 8 MiB here and of 4 MiB at each reader, whatever a batch holds.
const lz4Block = 64 << 10

// lz4Header begins each frame (LZ4 frame format 1.6.1): the magic number, FLG
// (version 1, blocks stand alone, no checksums: Kafka's batches have their own), BD
// (blocks of at most 64 KiB), and the check byte over these two.
var lz4Header = [...]byte{0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82}

// lz4Raw marks the size of a block that would not get smaller.
const lz4Raw = 1 << 31

// lz4Compressor compresses batches for the Kafka client.
type lz4Compressor struct{}

func (lz4Compressor) Compress(dst *bytes.Buffer, src []byte, _ ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	blocks := len(src)/lz4Block + 1
	dst.Grow(len(lz4Header) + len(src) + 4*(blocks+1))
	out := append(dst.AvailableBuffer(), lz4Header[:]...)
	for len(src) > 0 {
		block := src[:min(len(src), lz4Block)]
		src = src[len(block):]
		size := len(out)
		out = append(out, 0, 0, 0, 0)
		// The room is what the block has raw: what does not fit in less stays so.
		n, err := lz4.CompressBlock(block, out[len(out):len(out)+len(block)], nil)
		if err != nil || n == 0 || n >= len(block) {
			binary.LittleEndian.PutUint32(out[size:], uint32(len(block))|lz4Raw)
			out = append(out, block...)
			continue
		}
		binary.LittleEndian.PutUint32(out[size:], uint32(n))
		out = out[:len(out)+n]
	}
	return append(out, 0, 0, 0, 0), kgo.CodecLz4
}
