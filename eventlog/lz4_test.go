package eventlog

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestWhatLZ4CompressesOthersRead(t *testing.T) {
	noise := make([]byte, 3*lz4Block+17)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(noise) // never fails
	mixed := append(documents(lz4Block-100), noise[:lz4Block]...)
	mixed = append(mixed, documents(lz4Block)...)
	for name, src := range map[string][]byte{
		"nothing":               {},
		"one byte":              {'x'},
		"an event":              documents(1 << 10),
		"a block less a byte":   documents(lz4Block - 1),
		"a block":               documents(lz4Block),
		"a block and a byte":    documents(lz4Block + 1),
		"a large batch":         documents(900 << 10),
		"noise":                 noise,
		"noise of a block":      noise[:lz4Block],
		"noise among documents": mixed,
	} {
		t.Run(name, func(t *testing.T) {
			buf := bytes.NewBufferString("what was there before")
			buf.Reset()
			out, codec := lz4Compressor{}.Compress(buf, src)
			if codec != kgo.CodecLz4 {
				t.Fatalf("codec %d", codec)
			}
			if most := len(src) + len(lz4Header) + 4*(len(src)/lz4Block+2); len(out) > most {
				t.Errorf("%d bytes became %d, more than %d", len(src), len(out), most)
			}
			if got, err := kgo.DefaultDecompressor().Decompress(out, codec); err != nil || !bytes.Equal(got, src) {
				t.Errorf("the Kafka client reads %d of %d bytes: %v", len(got), len(src), err)
			}
			if got, err := io.ReadAll(lz4.NewReader(bytes.NewReader(out))); err != nil || !bytes.Equal(got, src) {
				t.Errorf("a reader of frames reads %d of %d bytes: %v", len(got), len(src), err)
			}
		})
	}
}

func TestLZ4MakesDocumentsSmaller(t *testing.T) {
	src := documents(100 << 10)
	out, _ := lz4Compressor{}.Compress(new(bytes.Buffer), src)
	if len(out) > len(src)/3 {
		t.Errorf("%d bytes became %d", len(src), len(out))
	}
}

// documents are n bytes of JSON as events have it.
func documents(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `{"id":"%d-%x","type":"com.example.order.placed","time":"2026-11-21T10:%02d:%02dZ","amount":%d,"customer":"c%d"}`, i, i*7919, i%60, i*7%60, i*31%1000, i*17)
	}
	return b.Bytes()[:n]
}

func BenchmarkCompress(b *testing.B) {
	theirs, err := kgo.DefaultCompressor(kgo.Lz4Compression())
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1 << 10, 10 << 10, 100 << 10, 900 << 10} {
		for name, c := range map[string]kgo.Compressor{"ours": lz4Compressor{}, "client's": theirs} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) { benchmarkCompress(b, c, documents(n)) })
		}
	}
}

// benchmarkCompress compresses and reads again.
func benchmarkCompress(b *testing.B, c kgo.Compressor, src []byte) {
	var buf bytes.Buffer
	reader := kgo.DefaultDecompressor()
	var out []byte
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		buf.Reset()
		var codec kgo.CompressionCodecType
		out, codec = c.Compress(&buf, src)
		if got, err := reader.Decompress(out, codec); err != nil || len(got) != len(src) {
			b.Fatal(len(got), err)
		}
	}
	b.ReportMetric(float64(len(src))/float64(len(out)), "ratio")
}
