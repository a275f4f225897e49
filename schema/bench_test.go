package schema

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-dev/signalbox/resource"
)

// many are n schemas of other types, and two prefixes.
func many(n int) []*resource.Schema {
	all := []*resource.Schema{schemaOf("p", "org.other.*", "{}"), schemaOf("q", "org.*", "{}", uri("https://x/q"))}
	for i := range n {
		all = append(all, schemaOf(fmt.Sprintf("s%d", i), fmt.Sprintf("com.example.type%d", i), order))
	}
	return all
}

func TestAllocEventsWithoutASchemaCostNone(t *testing.T) {
	c := compile(t, many(10)...)
	e := ev("com.example.nothing", `{}`)
	if n := testing.AllocsPerRun(100, func() { c.Check(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNoSchemaApplies(b *testing.B) {
	for _, n := range []int{0, 1, 1000} {
		b.Run(fmt.Sprint("schemas=", n), func(b *testing.B) {
			c := compile(b)
			if n > 0 {
				c = compile(b, many(n)...)
			}
			e := ev("com.example.nothing", `{}`)
			b.ReportAllocs()
			for b.Loop() {
				c.Check(e)
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	c := compile(b, schemaOf("order", "t", order))
	small := `{"id":1,"lines":[{"sku":"AB"}],"mail":"a@example.com"}`
	line := `{"sku":"ABCDEFGHIJ","note":"` + strings.Repeat("n", 60) + `"}`
	big := `{"id":1,"lines":[` + strings.Repeat(line+",", 9) + line + `]}`
	for _, data := range []string{small, big, strings.Replace(small, "AB", "ab", 1)} {
		b.Run(fmt.Sprint("bytes=", len(data), "/good=", c.Check(ev("t", data)) == nil), func(b *testing.B) {
			e := ev("t", data)
			b.ReportAllocs()
			for b.Loop() {
				c.Check(e)
			}
		})
	}
}

// BenchmarkWorst is what expensive data takes: a MiB, or the most of which the places are told.
func BenchmarkWorst(b *testing.B) {
	c := compile(b, schemaOf("loop", "t", explosive), schemaOf("items", "i", `{"items":{"type":"integer"}}`), schemaOf("unique", "u", `{"uniqueItems":true}`))
	for _, x := range []struct{ name, typ, data string }{
		{"explosive", "t", strings.Repeat(`{"x":`, 60) + `"` + strings.Repeat("x", 1<<20) + `"` + strings.Repeat("}", 60)},
		{"wrongitems", "i", "[" + strings.Repeat(`"",`, 87_000) + `""]`},
		{"unique", "u", "[" + strings.Repeat(`1,`, 1) + strings.Repeat(`{},[],`, 1) + numbers(140_000) + "1]"},
	} {
		b.Run(x.name, func(b *testing.B) {
			e := ev(x.typ, x.data)
			b.ReportAllocs()
			for b.Loop() {
				c.Check(e)
			}
		})
	}
}

func numbers(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "%d,", i+10)
	}
	return s.String()
}
