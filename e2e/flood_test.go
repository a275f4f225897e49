//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// from dials from an address of loopback of its own: 127.0.0.n.
func (s *server) from(n byte) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, n)}, Timeout: bound}
	return d.Dial("tcp", s.addr)
}

// drip sends a text a byte at a time until it cannot, and reports how long that took
// and what the server said.
func drip(c net.Conn, text string, every time.Duration) (took time.Duration, answer string) {
	defer c.Close()
	began := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	ended := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(c)
		ended <- string(b)
	}()
	for i := range len(text) {
		select {
		case answer = <-ended:
			return time.Since(began), answer
		case <-tick.C:
			_, _ = c.Write([]byte{text[i]})
		}
	}
	return time.Since(began), <-ended
}

// TestSlowClientsAreEndedAndHarmNobody has 500 of them beside one that behaves.
func TestSlowClientsAreEndedAndHarmNobody(t *testing.T) {
	const timeout = 3 * time.Second
	s := start(t, append(embeddedArgs(t), "--request-timeout", timeout.String())...)
	head := "POST /events HTTP/1.1\r\nHost: " + s.addr + "\r\n" + attributes
	var mu sync.Mutex
	var wg sync.WaitGroup
	var slowest time.Duration
	answers := map[string]int{}
	for i := range 500 {
		c, err := s.from(byte(2 + i%3))
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			var took time.Duration
			var answer string
			switch i % 5 {
			case 0: // asks for much, and reads nothing
				_ = c.SetDeadline(time.Now().Add(bound))
				began := time.Now()
				for err := error(nil); err == nil; {
					_, err = io.WriteString(c, "GET /openapi.json HTTP/1.1\r\nHost: "+s.addr+"\r\n\r\n")
				}
				took, answer = time.Since(began), "nothing read"
				c.Close()
			case 1, 2: // a header that does not end
				took, answer = drip(c, head+strings.Repeat("x: y\r\n", 1000), 100*time.Millisecond)
			default: // a body that does not come
				_, _ = io.WriteString(c, head+"Content-Length: 1000\r\n\r\n")
				took, answer = drip(c, strings.Repeat("x", 1000), 100*time.Millisecond)
			}
			mu.Lock()
			defer mu.Unlock()
			slowest = max(slowest, took)
			answers[strings.SplitN(answer, "\r\n", 2)[0]]++
		})
	}
	var victim []time.Duration
	for i := range 200 {
		began := time.Now()
		if status, body := s.post("/events", binaryHeader(strconv.Itoa(i), "com.example.victim"), "{}"); status != http.StatusAccepted {
			t.Fatalf("%d %s", status, body)
		}
		victim = append(victim, time.Since(began))
	}
	wg.Wait()
	slices.Sort(victim)
	t.Logf("beside 500 slow clients: p50 %s, p99 %s; they were ended after %s at most: %v", victim[100], victim[198], slowest.Round(time.Millisecond), answers)
	if victim[100] > time.Second || victim[180] > timeout { // the slowest say as much of the machine
		t.Errorf("half of the others wait for more than %s, one in ten for more than %s", victim[100], victim[180])
	}
	if slowest > 2*timeout+slack {
		t.Errorf("one was not ended for %s", slowest)
	}
	if answers["HTTP/1.1 408 Request Timeout"] < 350 {
		t.Errorf("who was slow was not told: %v", answers)
	}
}

// clientHello is what a client of TLS says first, as a stranger would record it: sent
// again it costs him nothing, and the server a key exchange and a signature.
func clientHello(t *testing.T) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	go func() { _ = tls.Client(client, &tls.Config{ServerName: "x"}).Handshake() }()
	b := make([]byte, 16<<10)
	n, err := server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// handshakes begins them from an address, as fast as they come, until stop is closed;
// it returns how many got as far as the server's answer.
func (s *server) handshakes(n byte, hello []byte, stop <-chan struct{}) (begun int) {
	for {
		select {
		case <-stop:
			return begun
		default:
		}
		c, err := s.from(n)
		if err != nil {
			continue
		}
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.SetDeadline(time.Now().Add(bound))
		if _, err := c.Write(hello); err == nil {
			if _, err = io.ReadFull(c, make([]byte, 5)); err == nil {
				begun++
			}
		}
		c.Close()
	}
}

// TestTLSHandshakesHarmNobody has one address begin as many as the server can take.
func TestTLSHandshakesHarmNobody(t *testing.T) {
	s, config := startWithTLS(t, embeddedArgs(t))
	post := func(c *http.Client, id string) time.Duration {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, "https://"+s.addr+"/events", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range binaryHeader(id, "com.example.victim") {
			req.Header.Set(name, v)
		}
		began := time.Now()
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted {
			t.Fatal(resp.Status)
		}
		return time.Since(began)
	}
	client := func(n byte) *http.Client {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, n)}}
		return &http.Client{Timeout: bound, Transport: &http.Transport{TLSClientConfig: config, DialContext: d.DialContext}}
	}
	connected := client(1)
	post(connected, "first")
	hello, stop, counts := clientHello(t), make(chan struct{}), make(chan int, 32)
	for range cap(counts) {
		go func() { counts <- s.handshakes(2, hello, stop) }()
	}
	began := time.Now()
	var known, fresh []time.Duration
	for i := range 100 {
		known = append(known, post(connected, strconv.Itoa(i)))
		if i%5 == 0 {
			fresh = append(fresh, post(client(3), "new"+strconv.Itoa(i)))
		}
	}
	lasted := time.Since(began)
	close(stop)
	begun := 0
	for range cap(counts) {
		begun += <-counts
	}
	slices.Sort(known)
	slices.Sort(fresh)
	t.Logf("beside %.0f handshakes a second: p50 %s, p99 %s; by a new connection p50 %s, at most %s", float64(begun)/lasted.Seconds(), known[50], known[98], fresh[10], fresh[19])
	if known[50] > time.Second || fresh[10] > time.Second { // the slowest say as much of the machine
		t.Error("others wait for them")
	}
}

// TestConnectionsAreBounded has one address take what it can.
func TestConnectionsAreBounded(t *testing.T) {
	s := start(t, append(embeddedArgs(t), "--max-connections", "60")...)
	refused := 0
	for range 60 {
		c, err := s.from(2)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(bound))
		fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n", s.addr)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		switch {
		case err != nil: // closed before the answer was read
			refused++
		case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
			refused++
		case resp.StatusCode != http.StatusOK:
			t.Error(resp.Status)
		}
	}
	if refused < 25 || refused > 35 {
		t.Errorf("%d of 60 refused: want half of them", refused)
	}
	if status, body := s.post("/events", binaryHeader("1", "com.example.victim"), "{}"); status != http.StatusAccepted {
		t.Errorf("another address: %d %s", status, body)
	}
}

// TestWithoutFreeFilesTheServerWaits takes the process its file descriptors.
func TestWithoutFreeFilesTheServerWaits(t *testing.T) {
	s := start(t, embeddedArgs(t)...)
	pid := strconv.Itoa(s.cmd.Process.Pid)
	limit := func(n string) {
		t.Helper()
		if out, err := exec.Command("prlimit", "--pid", pid, "--nofile="+n+":").CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	limit("100")
	var all []net.Conn
	for i := range 300 {
		c, err := s.from(byte(2 + i%5))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	await(t, "the server to say so", func() error {
		if !strings.Contains(s.out.String(), "cannot be accepted") {
			return errors.New(s.out.String())
		}
		return nil
	})
	for _, c := range all {
		c.Close()
	}
	limit("4096")
	await(t, "an event to be accepted", func() error {
		if status, body := s.post("/events", binaryHeader(unique(t), "com.example.victim"), "{}"); status != http.StatusAccepted {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
}

// TestNothingIsUnpacked sends bombs: 512 MiB of zeros.
func TestNothingIsUnpacked(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 512 {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	s := start(t, embeddedArgs(t)...)
	s.apply("apiVersion: signalbox.dev/v1\nkind: Webhook\nmetadata: {name: hook}\nspec: {provider: none, event: {type: t, source: /s}}\n")
	before := s.rss()
	for path, want := range map[string]int{"/events": 415, "/webhooks/hook": 415, "/api/v1/apply": 400, "/api/v1/functions": 400, "/api/v1/whatif": 400} {
		header := binaryHeader("bomb", "com.example.bomb")
		header["Content-Encoding"] = "gzip"
		header["Content-Type"] = "application/json"
		for range 3 {
			if status, body := s.post(path, header, bomb.String()); status != want {
				t.Errorf("%s: %d %.200s", path, status, body)
			}
		}
	}
	if grown := s.rss() - before; grown > 100<<20 {
		t.Errorf("the server has grown by %d MiB", grown>>20)
	}
}
