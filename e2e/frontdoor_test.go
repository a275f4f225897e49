//go:build e2e

package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// raw is one stream of bytes on a connection of its own and what must come of it.
type raw struct {
	name, stream string
	// status is that of the first answer; 0 is a connection closed without one.
	status int
}

// attributes make a POST to /events an event, so that one which is let through shows.
const attributes = "ce-specversion: 1.0\r\nce-id: smuggled\r\nce-source: /front\r\nce-type: com.example.front\r\n"

// malformed are requests that another reader could take for something else. HOST is the server's address.
var malformed = []raw{
	{"no Host", "POST /events HTTP/1.1\r\n" + attributes + "Content-Length: 2\r\n\r\nhi", 400},
	{"two Hosts", "POST /events HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n" + attributes + "Content-Length: 2\r\n\r\nhi", 400},
	{"a Host with a path", "POST /events HTTP/1.1\r\nHost: HOST/x\r\n" + attributes + "Content-Length: 2\r\n\r\nhi", 400},
	{"a URL for another Host", "POST http://other/events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 2\r\n\r\nhi", 400},
	{"a URL with a user", "POST http://x@HOST/events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 2\r\n\r\nhi", 400},
	{"a name that is not the server's", "POST /events HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n" + attributes + "Content-Length: 2\r\n\r\nhi", 421},
	{"HTTP/0.9", "GET /events\r\n", 400},
	{"HTTP/2 without upgrade", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
	{"an unknown version", "POST /events HTTP/1.9\r\nHost: HOST\r\n" + attributes + "Content-Length: 2\r\n\r\nhi", 400},
	{"a version in lower case", "POST /events http/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 2\r\n\r\nhi", 400},
	{"CONNECT", "CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n\r\n", 400},
	{"a target that is no path", "POST events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 2\r\n\r\nhi", 400},
	{"a blank in the target", "POST /events x HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 2\r\n\r\nhi", 400},
	{"a control character in the target", "POST /events\x01 HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 2\r\n\r\nhi", 400},
	{"a fragment", "POST /events#x HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 2\r\n\r\nhi", 400},
	{"broken percent-encoding", "POST /ev%ents HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 2\r\n\r\nhi", 400},
	{"an encoded NUL", "POST /events%00 HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 2\r\n\r\nhi", 400},
	{"bare line feeds", strings.ReplaceAll("POST /events HTTP/1.1\r\nHost: HOST\r\n"+attributes+"Content-Length: 2\r\n\r\nhi", "\r\n", "\n"), 400},
	{"one bare line feed", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "x: y\nContent-Length: 2\r\n\r\nhi", 400},
	{"a bare carriage return", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "x: y\rz: a\r\nContent-Length: 2\r\n\r\nhi", 400},
	{"a NUL in a name", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "x\x00: y\r\nContent-Length: 2\r\n\r\nhi", 400},
	{"a NUL in a value", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "x: \x00\r\nContent-Length: 2\r\n\r\nhi", 400},
	{"a folded line", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "x: y\r\n z\r\nContent-Length: 2\r\n\r\nhi", 400},
	{"a blank before the colon", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length : 2\r\n\r\nhi", 400},
	{"a header line without a colon", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "x\r\nContent-Length: 2\r\n\r\nhi", 400},
	{"a negative length", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: -2\r\n\r\nhi", 400},
	{"a length with a sign", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: +2\r\n\r\nhi", 400},
	{"a length in hexadecimal", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 0x2\r\n\r\nhi", 400},
	{"a length that overflows", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 18446744073709551618\r\n\r\nhi", 400},
	{"two lengths that differ", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 2\r\nContent-Length: 60\r\n\r\nhi", 400},
	{"two lengths that agree", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", 400},
	{"a list of lengths", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 2, 2\r\n\r\nhi", 400},
	{"CL.TE", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX", 400},
	{"TE.CL", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 400},
	{"TE.TE, one unknown", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 400},
	{"TE with a tab", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Transfer-Encoding: \x0bchunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 400},
	{"TE of two codings", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 400},
	{"TE of HTTP/1.0", "POST /events HTTP/1.0\r\nHost: HOST\r\n" + attributes + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 400},
	{"a chunk size in disguise", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Transfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n", 400},
	{"a chunk size that overflows", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nhi\r\n0\r\n\r\n", 400},
	{"a chunk longer than it says", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Transfer-Encoding: chunked\r\n\r\n1\r\nhi\r\n0\r\n\r\n", 400},
	{"a line feed in a chunk extension", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Transfer-Encoding: chunked\r\n\r\n2;\nxx\r\nhi\r\n0\r\n\r\n", 400},
	{"a line feed after a chunk size", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Transfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n", 400},
	{"trailer fields", "POST /events HTTP/1.1\r\nHost: HOST\r\nce-specversion: 1.0\r\nce-source: /front\r\nce-type: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nce-id: smuggled\r\n\r\n", 400},
	{"no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
	{"empty lines", "\r\n\r\n\r\n\r\n", 0},
	{"a long request line", "POST /" + strings.Repeat("x", 20<<10) + " HTTP/1.1\r\nHost: HOST\r\n\r\n", 431},
	{"a long header", "POST /events HTTP/1.1\r\nHost: HOST\r\nx: " + strings.Repeat("x", 20<<10) + "\r\n\r\n", 431},
	{"a header of many fields", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + strings.Repeat("x: y\r\n", 300) + "\r\n", 400},
	{"a long body", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 99999999\r\n\r\nhi", 413},
	{"a long chunk", "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Transfer-Encoding: chunked\r\n\r\nfffffff\r\nhi", 413},
}

// follower is a good event on the heels of each of them: it must not be taken either.
const follower = "POST /events HTTP/1.1\r\nHost: HOST\r\n" + attributes + "Content-Length: 2\r\n\r\nhi"

// conversation sends a stream and reads what comes until the connection ends.
func conversation(t *testing.T, dial func() (net.Conn, error), stream string) (answers []*http.Response, bodies []string, end error) {
	t.Helper()
	c, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(bound))
	_, _ = io.WriteString(c, stream) // a server that has seen enough may close before all is sent
	in := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return answers, bodies, err
		}
		b, err := io.ReadAll(resp.Body)
		answers, bodies = append(answers, resp), append(bodies, string(b))
		if err != nil {
			return answers, bodies, err
		}
	}
}

// refuses checks that a stream is refused as it should be, and the connection closed.
func (x raw) refuses(t *testing.T, dial func() (net.Conn, error), host string) {
	t.Helper()
	answers, bodies, end := conversation(t, dial, strings.ReplaceAll(x.stream+follower, "HOST", host))
	var timeout net.Error
	if errors.As(end, &timeout) && timeout.Timeout() {
		t.Error("the connection stays open")
	}
	if x.status == 0 {
		if len(answers) > 0 {
			t.Errorf("answered %d %s", answers[0].StatusCode, bodies[0])
		}
		return
	}
	if len(answers) != 1 || answers[0].StatusCode != x.status {
		t.Fatalf("%d answers, want one with %d: %v", len(answers), x.status, bodies)
	}
	var p struct{ Status int }
	if ct := answers[0].Header.Get("Content-Type"); ct != "application/problem+json" || json.Unmarshal([]byte(bodies[0]), &p) != nil || p.Status != x.status {
		t.Errorf("no problem document: %s %s", ct, bodies[0])
	}
	if !answers[0].Close {
		t.Error("the answer does not say that the connection is closed")
	}
}

func TestWhatCouldBeReadInTwoWaysIsRefused(t *testing.T) {
	s := start(t, embeddedArgs(t)...)
	dial := func() (net.Conn, error) { return net.Dial("tcp", s.addr) }
	for _, x := range malformed {
		t.Run(x.name, func(t *testing.T) { x.refuses(t, dial, s.addr) })
	}
	if all := accepted(t, http.DefaultClient, "http://"+s.addr); len(all) > 0 {
		t.Errorf("accepted: %s", all)
	}
	if status, body := s.post("/events", binaryHeader("good", "com.example.front"), "{}"); status != http.StatusAccepted {
		t.Errorf("a good one: %d %s", status, body)
	}
}

// accepted are the events that the log holds.
func accepted(t *testing.T, c *http.Client, url string) []json.RawMessage {
	t.Helper()
	resp, err := c.Get(url + "/api/v1/events?since=1h")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var page struct{ Items []json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	return page.Items
}

// startWithTLS starts a server with a certificate of its own, and says how to trust it.
func startWithTLS(t *testing.T, args []string) (*server, *tls.Config) {
	t.Helper()
	dir := t.TempDir()
	openssl(t, dir, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "1", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1")
	pem, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(pem)
	return startTLS(t, append(args, "--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"))), config
}

func TestItIsRefusedUnderTLSToo(t *testing.T) {
	s, config := startWithTLS(t, embeddedArgs(t))
	dial := func() (net.Conn, error) { return tls.Dial("tcp", s.addr, config) }
	for _, x := range malformed {
		t.Run(x.name, func(t *testing.T) { x.refuses(t, dial, s.addr) })
	}
	if all := accepted(t, &http.Client{Transport: &http.Transport{TLSClientConfig: config}}, "https://"+s.addr); len(all) > 0 {
		t.Errorf("accepted: %s", all)
	}
	c, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(bound))
	// one byte at a time, which is a record each
	for _, b := range []byte(strings.ReplaceAll("GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n", "HOST", s.addr)) {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%v %v", resp, err)
	}
	if resp, err := http.Get("http://" + s.addr + "/healthz"); err == nil {
		resp.Body.Close()
		t.Error("HTTP is answered where TLS is spoken")
	}
}

// TestPipelinedRequestsAreAnsweredInOrder has good ones before a bad one.
func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	s := start(t, embeddedArgs(t)...)
	dial := func() (net.Conn, error) { return net.Dial("tcp", s.addr) }
	post := func(id string) string {
		return strings.ReplaceAll(follower, "smuggled", id)
	}
	stream := strings.ReplaceAll(post("1")+"GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n"+post("2")+"POST /events HTTP/1.1\r\n\r\n"+post("3"), "HOST", s.addr)
	answers, bodies, _ := conversation(t, dial, stream)
	var got []int
	for _, a := range answers {
		got = append(got, a.StatusCode)
	}
	if fmt.Sprint(got) != "[202 200 202 400]" {
		t.Errorf("%v %v", got, bodies)
	}
	if all := accepted(t, http.DefaultClient, "http://"+s.addr); len(all) != 2 {
		t.Errorf("accepted: %s", all)
	}
}
