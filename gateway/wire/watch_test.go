package wire

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// good are streams that are let through whole.
var good = map[string]string{
	"no body":                   "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"a body":                    "POST /events HTTP/1.1\r\nHost: a:80\r\nContent-Length: 2\r\n\r\nhi",
	"chunks":                    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;x=\"y\"\r\n!\r\n0\r\n\r\n",
	"line ends in a body":       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\n\n\r\x00",
	"several requests":          "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"an empty line before":      "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"HTTP/1.0 without Host":     "GET / HTTP/1.0\r\n\r\n",
	"absolute form":             "GET http://a/b?c HTTP/1.1\r\nHost: A\r\n\r\n",
	"asterisk form":             "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
	"a length of nothing":       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 000\r\n\r\n",
	"tabs and blanks of values": "GET / HTTP/1.1\r\nHost:\t a \t\r\nx:\r\ny: \xc3\xbc\r\n\r\n",
	"an IPv6 Host":              "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
	"an empty Host":             "GET / HTTP/1.1\r\nHost:\r\n\r\n",
	"a Host with a zone":        "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n",
	"a Host with an empty port": "GET / HTTP/1.1\r\nHost: a_b.example:\r\n\r\n",
	"encoded octets":            "GET /a%2Fb%C3%BC?q=%zz HTTP/1.1\r\nHost: a\r\n\r\n",
}

// bad are streams that are not, with what their fault says.
var bad = map[string]struct{ stream, says string }{
	"no Host":                          {"GET / HTTP/1.1\r\n\r\n", "no Host"},
	"two Hosts":                        {"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", "several Host"},
	"a Host with a path":               {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "Host that is none"},
	"a Host with half an address":      {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "Host that is none"},
	"a Host with more after it":        {"GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", "Host that is none"},
	"a Host with a bracket in it":      {"GET / HTTP/1.1\r\nHost: a[\r\n\r\n", "Host that is none"},
	"a Host with a port that is none":  {"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "Host that is none"},
	"a Host with a zone not encoded":   {"GET / HTTP/1.1\r\nHost: [fe80::1%eth0]\r\n\r\n", "Host that is none"},
	"a Host with two ports":            {"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", "Host that is none"},
	"a Host with an encoded octet":     {"GET / HTTP/1.1\r\nHost: a%41\r\n\r\n", "Host that is none"},
	"a target with a port of letters":  {"GET http://a:b/ HTTP/1.0\r\n\r\n", "neither a path nor a URL"},
	"a Host with a user":               {"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "Host that is none"},
	"another Host than the target":     {"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", "not that of the request target"},
	"a target with a user":             {"GET http://x@a/ HTTP/1.1\r\nHost: a\r\n\r\n", "neither a path nor a URL"},
	"another scheme":                   {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "neither a path nor a URL"},
	"authority form":                   {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "no proxy"},
	"authority form of GET":            {"GET a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "neither a path nor a URL"},
	"asterisk form of GET":             {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", "neither a path nor a URL"},
	"a fragment":                       {"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "fragment"},
	"a blank in the target":            {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "blanks"},
	"two blanks":                       {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "blanks"},
	"a control character in it":        {"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "blanks"},
	"broken percent-encoding":          {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "percent"},
	"cut percent-encoding":             {"GET /%a HTTP/1.1\r\nHost: a\r\n\r\n", "percent"},
	"an encoded NUL":                   {"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", "percent"},
	"no version":                       {"GET /\r\nHost: a\r\n\r\n", "without a version"},
	"another version":                  {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", "want HTTP/1.1"},
	"version in lower case":            {"GET / http/1.1\r\nHost: a\r\n\r\n", "want HTTP/1.1"},
	"HTTP/2":                           {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "want HTTP/1.1"},
	"a blank after the version":        {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "want HTTP/1.1"},
	"a method that is none":            {"G:T / HTTP/1.1\r\nHost: a\r\n\r\n", "without a method"},
	"no request line":                  {"garbage\r\n\r\n", "without a method"},
	"a blank first":                    {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "without a method"},
	"many empty lines":                 {"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "empty lines"},
	"bare line feeds":                  {"GET / HTTP/1.1\nHost: a\n\n", "CR LF"},
	"one bare line feed":               {"GET / HTTP/1.1\r\nHost: a\r\nx: y\n\r\n", "CR LF"},
	"a bare carriage return":           {"GET / HTTP/1.1\r\nHost: a\r\nx: y\rz: a\r\n\r\n", "control characters"},
	"a folded line":                    {"GET / HTTP/1.1\r\nHost: a\r\nx: y\r\n z\r\n\r\n", "valid name"},
	"a folded first line":              {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "valid name"},
	"a line without a colon":           {"GET / HTTP/1.1\r\nHost: a\r\nx\r\n\r\n", "valid name"},
	"a blank before the colon":         {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\nx", "valid name"},
	"an empty name":                    {"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", "valid name"},
	"a NUL in a name":                  {"GET / HTTP/1.1\r\nHost: a\r\nx\x00y: z\r\n\r\n", "valid name"},
	"a name beyond ASCII":              {"GET / HTTP/1.1\r\nHost: a\r\n\xc3\xbc: z\r\n\r\n", "valid name"},
	"a NUL in a value":                 {"GET / HTTP/1.1\r\nHost: a\r\nx: \x00\r\n\r\n", "control characters"},
	"a DEL in a value":                 {"GET / HTTP/1.1\r\nHost: a\r\nx: \x7f\r\n\r\n", "control characters"},
	"too many fields":                  {"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("x: y\r\n", 256) + "\r\n", "too many"},
	"a negative length":                {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "want digits"},
	"a length with a sign":             {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", "want digits"},
	"a hexadecimal length":             {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx", "want digits"},
	"an empty length":                  {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", "want digits"},
	"a list of lengths":                {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx", "want digits"},
	"a length beyond 64 bits":          {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\nx", "want digits"},
	"two lengths":                      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "several Content-Length"},
	"length and chunks":                {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "both"},
	"chunks and length":                {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "both"},
	"chunked twice":                    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "twice"},
	"chunked twice in one":             {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "want chunked"},
	"another coding":                   {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "want chunked"},
	"identity":                         {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx", "want chunked"},
	"chunked in disguise":              {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "want chunked"},
	"chunked behind a vertical tab":    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "control characters"},
	"no coding":                        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", "want chunked"},
	"chunks in HTTP/1.0":               {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.0"},
	"two content types":                {"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\n", "several Content-Type"},
	"a chunk without a size":           {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhi\r\n0\r\n\r\n", "without a size"},
	"a size with a prefix":             {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n", "without a size"},
	"a size with a sign":               {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n", "without a size"},
	"a size with a blank":              {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nhi\r\n0\r\n\r\n", "without a size"},
	"a size beyond 60 bits":            {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000000\r\n", "too long"},
	"a chunk longer than it says":      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nhi\r\n0\r\n\r\n", "longer"},
	"a chunk shorter than it says":     {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhi\r\n0\r\n\r\n", "CR LF"},
	"a line feed ends a chunk's size":  {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n", "CR LF"},
	"a line feed in a chunk extension": {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\nhi\r\n0\r\n\r\n", "CR LF"},
	"a long chunk extension":           {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("x", 300) + "\r\nhi\r\n0\r\n\r\n", "too long"},
	"many chunk extensions":            {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("x", 200)+"\r\ny\r\n", 30) + "0\r\n\r\n", "too many"},
	"trailer fields":                   {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nce-type: evil\r\n\r\n", "trailer"},
	"a second request that is bad":     {"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", "no Host"},
}

// all looks at the requests of a stream, one after the other.
func (w *Watch) all(b []byte) (passed int, f *Fault) {
	for passed < len(b) {
		n, f := w.See(b[passed:])
		if passed += n; f != nil || n == 0 {
			return passed, f
		}
	}
	return passed, nil
}

func TestItStopsAtTheEndOfARequest(t *testing.T) {
	var w Watch
	first := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
	if n, f := w.See([]byte(first + "garbage")); f != nil || n != len(first) || !w.Idle() {
		t.Errorf("%d, %v", n, f)
	}
}

func TestGoodStreamsPass(t *testing.T) {
	for name, stream := range good {
		var w Watch
		if n, f := w.all([]byte(stream)); f != nil || n != len(stream) || !w.Idle() {
			t.Errorf("%s: %d of %d bytes, %v", name, n, len(stream), f)
		}
	}
}

func TestBadStreamsDoNot(t *testing.T) {
	for name, c := range bad {
		var w Watch
		if n, f := w.all([]byte(c.stream)); f == nil || !strings.Contains(f.Detail, c.says) || n >= len(c.stream) {
			t.Errorf("%s: %d of %d bytes, %v: want %q", name, n, len(c.stream), f, c.says)
		}
	}
}

// inPieces feeds a stream so many bytes at a time.
func inPieces(stream []byte, size int) (passed int, f *Fault) {
	var w Watch
	for passed < len(stream) {
		n, f := w.all(stream[passed:min(passed+size, len(stream))])
		passed += n
		if f != nil {
			return passed, f
		}
	}
	return passed, nil
}

func TestItDoesNotMatterInWhichPiecesAStreamComes(t *testing.T) {
	streams := []string{}
	for _, s := range good {
		streams = append(streams, s)
	}
	for _, c := range bad {
		streams = append(streams, c.stream)
	}
	for _, s := range streams {
		_, want := inPieces([]byte(s), len(s))
		for _, size := range []int{1, 2, 3, 7} {
			if _, f := inPieces([]byte(s), size); (f == nil) != (want == nil) {
				t.Errorf("%q, %d bytes at a time: %v, at once: %v", s, size, f, want)
			}
		}
	}
}

// A server that has read nothing of a request closes the connection without a word.
func TestWhatBeginsNoRequestIsRefusedAtOnceAndPassedOnByAByte(t *testing.T) {
	for name, stream := range map[string]string{
		"a TLS handshake": "\x16\x03\x01\x02\x00", "a line feed": "\nGET / HTTP/1.1\r\n", "a blank": " GE", "a line feed after an empty line": "\r\n\n",
	} {
		var w Watch
		empty := len(stream) - len(strings.TrimPrefix(stream, "\r\n"))
		if n, f := w.See([]byte(stream)); f == nil || n != empty+1 {
			t.Errorf("%s: %d bytes, %v: want %d and a fault", name, n, f, empty+1)
		}
	}
	var w Watch
	head := "POST / HTTP/1.1\r\nHost: a\r\n"
	if n, f := w.See([]byte(head)); f != nil || n != len(head) {
		t.Fatalf("%d, %v", n, f)
	}
	if n, f := w.See([]byte("\n")); f == nil || n != 0 {
		t.Errorf("%d bytes, %v: a line feed would end the fields", n, f)
	}
}

func TestALineIsKeptWithinBounds(t *testing.T) {
	var w Watch
	w.Limit(1000)
	for range 100 {
		if _, f := w.See([]byte(strings.Repeat("x", 100))); f != nil {
			t.Fatal(f)
		}
	}
	if len(w.carry) > 1000 {
		t.Errorf("%d bytes are kept", len(w.carry))
	}
}

func TestSeeingCostsNoMemory(t *testing.T) {
	stream := []byte(good["several requests"] + good["chunks"])
	if n := testing.AllocsPerRun(100, func() {
		var w Watch
		if _, f := w.all(stream); f != nil {
			t.Fatal(f)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSee(b *testing.B) {
	stream := []byte("POST /events HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: fasthttp\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n" +
		"ce-specversion: 1.0\r\nce-id: 0123456789\r\nce-source: /bench\r\nce-type: com.example.bench\r\nce-time: 2026-01-01T00:00:00Z\r\n\r\n" + strings.Repeat("x", 1024))
	var w Watch
	b.ReportAllocs()
	for b.Loop() {
		if _, f := w.See(stream); f != nil {
			b.Fatal(f)
		}
	}
}

// FuzzSee: it does not matter in which pieces a stream comes; and what passes
// whole, net/http reads as the same requests.
func FuzzSee(f *testing.F) {
	for _, s := range good {
		f.Add([]byte(s), 3)
	}
	for _, c := range bad {
		f.Add([]byte(c.stream), 1)
	}
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		var w Watch
		n, whole := w.all(stream)
		if whole == nil && n != len(stream) || n > len(stream) {
			t.Fatalf("%d of %d bytes without a fault", n, len(stream))
		}
		if size > 0 {
			if _, pieces := inPieces(stream, size); (pieces == nil) != (whole == nil) {
				t.Fatalf("%d bytes at a time: %v, at once: %v", size, pieces, whole)
			}
		}
		if whole != nil || !w.Idle() {
			return
		}
		in := bufio.NewReader(bytes.NewReader(stream))
		for {
			// empty lines before a request are ours to allow, and not net/http's
			for {
				if b, _ := in.Peek(2); string(b) != "\r\n" {
					break
				}
				_, _ = in.Discard(2)
			}
			if _, err := in.Peek(1); err != nil {
				return
			}
			r, err := http.ReadRequest(in)
			if err != nil {
				if strings.Contains(err.Error(), "invalid URI") || strings.Contains(err.Error(), "parse ") || strings.Contains(err.Error(), "invalid method") {
					return // stricter about targets, which frame nothing
				}
				t.Fatalf("%q: net/http: %v", stream, err)
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				t.Fatalf("%q: net/http reads another body: %v", stream, err)
			}
			if len(r.Trailer) > 0 {
				for name, v := range r.Trailer {
					if v != nil {
						t.Fatalf("%q: trailer %s", stream, name)
					}
				}
			}
		}
	})
}
