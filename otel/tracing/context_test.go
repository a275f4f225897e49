package tracing

import (
	"strings"
	"testing"
)

const (
	goodTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	goodSpan   = "00f067aa0ba902b7"
	goodParent = "00-" + goodTrace + "-" + goodSpan + "-01"
)

func TestParseTraceParent(t *testing.T) {
	zero32, zero16 := strings.Repeat("0", 32), strings.Repeat("0", 16)
	tests := []struct {
		name string
		in   string
		// want is the context as version 00; "" is refused.
		want string
	}{
		{"sampled", goodParent, goodParent},
		{"not sampled", "00-" + goodTrace + "-" + goodSpan + "-00", "00-" + goodTrace + "-" + goodSpan + "-00"},
		{"random flag is kept", "00-" + goodTrace + "-" + goodSpan + "-03", "00-" + goodTrace + "-" + goodSpan + "-03"},
		{"reserved flags are zeroed", "00-" + goodTrace + "-" + goodSpan + "-ff", "00-" + goodTrace + "-" + goodSpan + "-03"},
		{"higher version of 55 characters", "cc-" + goodParent[3:], goodParent},
		{"higher version with a further part", "cc-" + goodParent[3:] + "-what-the-future", goodParent},
		{"higher version with an empty further part", "cc-" + goodParent[3:] + "-", goodParent},
		{"higher version with a part that is not after a dash", "cc-" + goodParent[3:] + ".what", ""},
		{"higher version, flags of three digits", "cc-" + goodParent[3:] + "0", ""},
		{"version 00 with a further part", goodParent + "-01", ""},
		{"version 00 with a dash at the end", goodParent + "-", ""},
		{"version ff", "ff-" + goodParent[3:], ""},
		{"version of one digit", "0-" + goodParent[3:], ""},
		{"version that is not hexadecimal", "0x-" + goodParent[3:], ""},
		{"trace id all zero", "00-" + zero32 + "-" + goodSpan + "-01", ""},
		{"span id all zero", "00-" + goodTrace + "-" + zero16 + "-01", ""},
		{"upper-case trace id", "00-" + strings.ToUpper(goodTrace) + "-" + goodSpan + "-01", ""},
		{"upper-case span id", "00-" + goodTrace + "-" + strings.ToUpper(goodSpan) + "-01", ""},
		{"upper-case version", "CC-" + goodParent[3:], ""},
		{"upper-case flags", goodParent[:53] + "0A", ""},
		{"flags that are not hexadecimal", goodParent[:53] + "0.", ""},
		{"short trace id", "00-" + goodTrace[1:] + "-" + goodSpan + "-01", ""},
		{"no flags", goodParent[:52], ""},
		{"one flag digit", goodParent[:54], ""},
		{"dashes replaced", strings.ReplaceAll(goodParent, "-", "_"), ""},
		{"blank before", " " + goodParent, ""},
		{"two joined by a comma", goodParent + "," + goodParent, ""},
		{"empty", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, ok := ParseTraceParent(test.in)
			if got := c.TraceParent(); got != test.want || ok != (test.want != "") {
				t.Errorf("ParseTraceParent(%q) = %q, %v, want %q", test.in, got, ok, test.want)
			}
			if !ok && c != (Context{}) {
				t.Errorf("refused, but not zero: %+v", c)
			}
		})
	}
}

func TestJoinTraceState(t *testing.T) {
	members := func(n int) string {
		return strings.TrimSuffix(strings.Repeat("k=v,", n), ",")
	}
	tests := []struct {
		name  string
		lines []string
		want  string
	}{
		{"none", nil, ""},
		{"one line", []string{"congo=t61,rojo=00f"}, "congo=t61,rojo=00f"},
		{"several lines in order", []string{"a=1", "b=2", "c=3"}, "a=1,b=2,c=3"},
		{"blanks and empty members", []string{" a=1 ,, \tb=2\t", "", ",c=3,"}, "a=1,b=2,c=3"},
		{"only empty members", []string{",", " , "}, ""},
		{"blank inside a value", []string{"a=x y"}, "a=x y"},
		{"repeated key is kept", []string{"a=1,b=2,a=3"}, "a=1,b=2,a=3"},
		{"key with a later @", []string{"foo@=1,t@v=2"}, "foo@=1,t@v=2"},
		{"key with a leading @", []string{"ok=1,@foo=1"}, ""},
		{"key beginning with a digit", []string{"1a=1"}, "1a=1"},
		{"key beginning with an underscore", []string{"_a=1"}, ""},
		{"upper-case key", []string{"A=1"}, ""},
		{"key with all signs", []string{"a_-*/@=1"}, "a_-*/@=1"},
		{"key of 256", []string{strings.Repeat("k", 256) + "=1"}, strings.Repeat("k", 256) + "=1"},
		{"key of 257", []string{strings.Repeat("k", 257) + "=1"}, ""},
		{"value of 256", []string{"a=" + strings.Repeat("v", 256)}, "a=" + strings.Repeat("v", 256)},
		{"value of 257", []string{"a=" + strings.Repeat("v", 257)}, ""},
		{"value with an equals sign", []string{"a=1=2"}, ""},
		{"empty value", []string{"a="}, ""},
		{"empty key", []string{"=1"}, ""},
		{"no equals sign", []string{"a"}, ""},
		{"blank before the equals sign", []string{"a =1"}, ""},
		{"control character", []string{"a=\x01"}, ""},
		{"not ASCII", []string{"a=é"}, ""},
		{"32 members over lines", []string{members(16), members(16)}, members(32)},
		{"33 members over lines", []string{members(16), members(17)}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := joinTraceState(test.lines); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestExtract(t *testing.T) {
	tests := []struct {
		name            string
		parents, states []string
		want, wantState string
	}{
		{"parent and states", []string{goodParent}, []string{"a=1", "b=2"}, goodParent, "a=1,b=2"},
		{"no parent, no state", nil, []string{"a=1"}, "", ""},
		{"invalid parent, no state", []string{"00-x"}, []string{"a=1"}, "", ""},
		{"two parents are invalid", []string{goodParent, goodParent}, nil, "", ""},
		{"bad state leaves the parent", []string{goodParent}, []string{"A=1"}, goodParent, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := Extract(test.parents, test.states)
			if c.TraceParent() != test.want || c.State != test.wantState {
				t.Errorf("got %q %q, want %q %q", c.TraceParent(), c.State, test.want, test.wantState)
			}
		})
	}
}

func TestExtractCopiesWhatItKeeps(t *testing.T) {
	parent, state := []byte(goodParent), []byte("a=1")
	c := Extract([][]byte{parent}, [][]byte{state})
	copy(parent, strings.Repeat("f", len(parent)))
	copy(state, "zzz")
	if c.TraceParent() != goodParent || c.State != "a=1" {
		t.Errorf("the buffer shows through: %q %q", c.TraceParent(), c.State)
	}
}

func TestFormattingAllocatesTheStringOnly(t *testing.T) {
	c, _ := ParseTraceParent(goodParent)
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() { _ = c.TraceParent() }); n > 1 {
		t.Errorf("TraceParent: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { buf = c.AppendTraceParent(buf[:0]) }); n > 0 {
		t.Errorf("AppendTraceParent: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = ParseTraceParent(goodParent) }); n > 0 {
		t.Errorf("ParseTraceParent: %v allocations", n)
	}
}

func FuzzParseTraceParent(f *testing.F) {
	for _, seed := range []string{goodParent, "cc-" + goodParent[3:] + "-x", goodParent + "-", "", "00-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := ParseTraceParent(s)
		if ok != c.IsValid() {
			t.Fatalf("%q: ok %v, valid %v", s, ok, c.IsValid())
		}
		if !ok {
			return
		}
		again, ok := ParseTraceParent(c.TraceParent())
		if !ok || again != c {
			t.Fatalf("%q reads back as %+v, not %+v", s, again, c)
		}
	})
}

func FuzzJoinTraceState(f *testing.F) {
	f.Add("a=1", "b=2")
	f.Add("", ",,")
	f.Add("a=\x00", "@=1")
	f.Fuzz(func(t *testing.T, one, two string) {
		joined := joinTraceState([]string{one, two})
		if again := joinTraceState([]string{joined}); again != joined {
			t.Fatalf("%q is not stable: %q", joined, again)
		}
	})
}
