package gateway

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/api"
	"github.com/signalbox-dev/signalbox/gateway/ingest"
	"github.com/signalbox-dev/signalbox/gateway/invoke"
	"github.com/signalbox-dev/signalbox/gateway/subscribe"
)

// Config is everything that can be set about a gateway.
type Config struct {
	// Addr is the address to listen on, host:port; port 0 is any free one.
	Addr string
	// HealthOnly serves /healthz, /readyz and /metrics and nothing else: for a
	// process that is not to be talked to.
	HealthOnly bool
	// MaxBody bounds the body of a request, in bytes; 1 KiB to 64 MiB.
	MaxBody int
	// MaxHeader bounds request line and header fields together, in bytes, and
	// is the size of each connection's read buffer; 1 KiB to 1 MiB.
	MaxHeader int
	// ReadTimeout bounds the arrival of one whole request, WriteTimeout the
	// writing of its answer, IdleTimeout the wait for the next; 10ms to 1h.
	ReadTimeout  time.Duration
	WriteTimeout time.Duration
	IdleTimeout  time.Duration
	// MaxConnections bounds the connections, 16 to 1000000, and MaxPerAddress those
	// of one address (of IPv6: one /64); 0 is half of all. When all places are taken
	// the connection that has kept us waiting the longest makes room.
	MaxConnections int
	MaxPerAddress  int
	// FirstByte bounds the wait for the first byte of a connection, a TLS handshake
	// included; 10ms to 1h.
	FirstByte time.Duration
	// CORSOrigins are the origins (https://app.example) whose pages may send
	// requests and read the answers; "*" is any. AllowedHosts are the names by which
	// the server is known beside addresses and localhost: with any, or without
	// authentication on loopback, requests under other names are refused.
	CORSOrigins  []string
	AllowedHosts []string
	// StopDelay is how long /readyz says 503 before the listener closes, so that
	// load balancers notice; 0 to 5m. StopTimeout bounds the wait for the
	// requests under way after that; 10ms to 10m.
	StopDelay   time.Duration
	StopTimeout time.Duration
	// CheckTimeout bounds the probes of /readyz together; 10ms to 1m.
	CheckTimeout time.Duration

	// TLS says by which certificate the server is known; the zero value speaks no TLS.
	TLS TLSConfig
	// Access says who is let in; the zero value lets everybody in.
	Access access.Config

	Ingest    ingest.Config
	Invoke    invoke.Config
	API       api.Config
	Subscribe subscribe.Config
}

// DefaultConfig listens on 127.0.0.1:8080 and takes bodies of 1 MiB.
func DefaultConfig() Config {
	return Config{
		Addr: "127.0.0.1:8080", MaxBody: 1 << 20, MaxHeader: 16 << 10,
		ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxConnections: 16384, FirstByte: 10 * time.Second,
		StopTimeout: 20 * time.Second, CheckTimeout: 2 * time.Second,
		Ingest: ingest.DefaultConfig(), Invoke: invoke.DefaultConfig(), API: api.DefaultConfig(), Subscribe: subscribe.DefaultConfig(),
	}
}

// Validate reports every field that is out of range.
func (c Config) Validate() error {
	var errs []error
	number := func(name string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s %d: want %d to %d", name, v, low, high))
		}
	}
	duration := func(name string, v, low, high time.Duration) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s %s: want %s to %s", name, v, low, high))
		}
	}
	if c.Addr == "" {
		errs = append(errs, errors.New("Addr empty: want host:port"))
	}
	number("MaxBody", c.MaxBody, 1<<10, 64<<20)
	number("MaxHeader", c.MaxHeader, 1<<10, 1<<20)
	duration("ReadTimeout", c.ReadTimeout, 10*time.Millisecond, time.Hour)
	duration("WriteTimeout", c.WriteTimeout, 10*time.Millisecond, time.Hour)
	duration("IdleTimeout", c.IdleTimeout, 10*time.Millisecond, time.Hour)
	duration("FirstByte", c.FirstByte, 10*time.Millisecond, time.Hour)
	number("MaxConnections", c.MaxConnections, 16, 1_000_000)
	number("MaxPerAddress", c.MaxPerAddress, 0, 1_000_000)
	for i, o := range c.CORSOrigins {
		if !validOrigin(o) {
			errs = append(errs, fmt.Errorf("CORSOrigins[%d] %q: want scheme://host[:port], or *", i, o))
		}
	}
	for i, h := range c.AllowedHosts {
		if h == "" || strings.ContainsAny(h, ":/@ ") {
			errs = append(errs, fmt.Errorf("AllowedHosts[%d] %q: want a name without port", i, h))
		}
	}
	duration("StopDelay", c.StopDelay, 0, 5*time.Minute)
	duration("StopTimeout", c.StopTimeout, 10*time.Millisecond, 10*time.Minute)
	duration("CheckTimeout", c.CheckTimeout, 10*time.Millisecond, time.Minute)
	errs = append(errs, within("TLS", c.TLS.validate()), within("Access", c.Access.Validate()))
	errs = append(errs, within("Ingest", c.Ingest.Validate()), within("Invoke", c.Invoke.Validate()), within("API", c.API.Validate()), within("Subscribe", c.Subscribe.Validate()))
	return errors.Join(errs...)
}

// validOrigin: what a browser sends as Origin.
func validOrigin(s string) bool {
	if s == "*" {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && s == u.Scheme+"://"+u.Host
}

func within(part string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", part, err)
}

func (d Deps) validate() error {
	var errs []error
	required := func(name string, missing bool) {
		if missing {
			errs = append(errs, fmt.Errorf("Deps.%s: missing", name))
		}
	}
	required("Appender", d.Appender == nil)
	required("Resources", d.Resources == nil)
	required("Reader", d.Reader == nil)
	required("Letters", d.Letters == nil)
	required("Deliveries", d.Deliveries == nil)
	required("Explainer", d.Explainer == nil)
	return errors.Join(errs...)
}
