package verify

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

// Config says what a run sends, and how its functions behave. DefaultConfig has
// the defaults.
type Config struct {
	// Server is the deployment's URL, such as http://127.0.0.1:8080.
	Server string
	// Token is presented with every request, and must let in who may emit, and who
	// may change functions and links; "" is none. TLS is how an https server is
	// called; nil is by the system's authorities.
	Token string
	TLS   *tls.Config
	// Name is what the names of the run's resources begin with, after "verify-":
	// at most 40 lower-case letters, digits and '-'; "" (default) is a random one.
	Name string
	// Listen is where the functions listen, as host:port; default 127.0.0.1:0.
	Listen string
	// CallbackURL is where the deployment reaches Listen, such as
	// http://verify.example:9000; "" (default) is Listen itself.
	CallbackURL string

	// Events is how many are sent; 0 is no limit, and then For must be set; at
	// most 100000000. Default 2000.
	Events int
	// For bounds the time of sending; 0 (default) is no bound; at most 30 days.
	For time.Duration
	// Rate is events per second, 0.1 to 1000000; default 200.
	Rate float64
	// Size is about the bytes of an event's data, 32 to 1000000; default 256.
	Size int
	// Functions is the number of functions, 1 to 1000, default 5; each event goes
	// to Fanout of them, 1 to Functions, default 3.
	Functions, Fanout int
	// Keys is the number of keys, 1 to 1000000, default 100; 0 sends events without a key.
	Keys int
	// Order is that of the links: none (default) or key.
	Order string

	// Fail is the share of calls that meet a fault, 0 to 1; default 0.02.
	Fail float64
	// Faults are the kinds of faults, evenly; default all.
	Faults []Fault
	// Replies is the share of deliveries that are answered with an event, 0 to 1; default 0.1.
	Replies float64
	// Poison is the share of deliveries that are refused for good and must become
	// dead letters, 0 to 1; default 0.
	Poison float64
	// Seed decides which events and calls all of that meets.
	Seed uint64

	// CallTimeout is the links' timeout of one call, 100ms to 10m; default 2s.
	CallTimeout time.Duration
	// Drain is how long nothing may arrive, when the sending is over, before what
	// is not delivered counts as lost, 0 to 24h; default 2m.
	Drain time.Duration
	// Grace bounds all of that wait when the run was interrupted, 0 to 1h; default 5s.
	Grace time.Duration
	// Linger is how long duplicates are waited for when all is delivered, 0 to
	// 1h; default 1s.
	Linger time.Duration
	// ReadyTimeout bounds the wait until the functions are called at all, 1s to 10m; default 30s.
	ReadyTimeout time.Duration

	// KillCommand is run by the shell every KillEvery (100ms to 24h, default 10s)
	// while events are sent; "" (default) is none. Its output goes to KillOutput; nil is nowhere.
	KillCommand string
	KillEvery   time.Duration
	KillOutput  io.Writer

	// CallLog gets a line of JSON for every call of a function; nil is nowhere.
	CallLog io.Writer

	// Progress is called every Every (10ms to 1h, default 1s), never twice at a time; nil is nobody.
	Progress func(Progress)
	Every    time.Duration
}

// DefaultConfig has every default, without a server.
func DefaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:0",
		Events: 2000, Rate: 200, Size: 256, Functions: 5, Fanout: 3, Keys: 100, Order: resource.OrderNone,
		Fail: 0.02, Faults: Faults(), Replies: 0.1,
		CallTimeout: 2 * time.Second, Drain: 2 * time.Minute, Grace: 5 * time.Second, Linger: time.Second, ReadyTimeout: 30 * time.Second,
		KillEvery: 10 * time.Second, Every: time.Second,
	}
}

var nameRE = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)

// validate reports every fault, each naming the field and what is allowed.
func (c *Config) validate() error {
	var f faults
	u, err := url.Parse(c.Server)
	f.check(err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"), "Server", c.Server, "a URL such as http://127.0.0.1:8080")
	f.check(c.Name == "" || nameRE.MatchString(c.Name), "Name", c.Name, "at most 40 lower-case letters, digits and '-', or nothing")
	c.validateCallback(&f)
	c.validateLoad(&f)
	c.validateFaults(&f)
	within(&f, "CallTimeout", c.CallTimeout, 100*time.Millisecond, 10*time.Minute)
	within(&f, "Drain", c.Drain, 0, 24*time.Hour)
	within(&f, "Grace", c.Grace, 0, time.Hour)
	within(&f, "Linger", c.Linger, 0, time.Hour)
	within(&f, "ReadyTimeout", c.ReadyTimeout, time.Second, 10*time.Minute)
	within(&f, "KillEvery", c.KillEvery, 100*time.Millisecond, 24*time.Hour)
	within(&f, "Every", c.Every, 10*time.Millisecond, time.Hour)
	return errors.Join(f...)
}

func (c *Config) validateCallback(f *faults) {
	host, _, err := net.SplitHostPort(c.Listen)
	f.check(err == nil, "Listen", c.Listen, "host:port")
	if c.CallbackURL != "" {
		u, err := url.Parse(c.CallbackURL)
		f.check(err == nil && u.Host != "" && u.User == nil && (u.Scheme == "http" || u.Scheme == "https"), "CallbackURL", c.CallbackURL, "an http or https URL without credentials")
		return
	}
	ip := net.ParseIP(host)
	f.check(err != nil || host != "" && !ip.IsUnspecified(), "CallbackURL", c.CallbackURL, "the URL at which the deployment reaches "+c.Listen+", since that is every address")
}

func (c *Config) validateLoad(f *faults) {
	within(f, "Events", c.Events, 0, 100_000_000)
	within(f, "For", c.For, 0, 30*24*time.Hour)
	f.check(c.Events > 0 || c.For > 0, "Events", c.Events, "a number, or a time to send for")
	within(f, "Rate", c.Rate, 0.1, 1e6)
	within(f, "Size", c.Size, 32, 1_000_000)
	within(f, "Functions", c.Functions, 1, 1000)
	within(f, "Fanout", c.Fanout, 1, max(c.Functions, 1))
	within(f, "Keys", c.Keys, 0, 1_000_000)
	f.check(c.Order == resource.OrderNone || c.Order == resource.OrderKey, "Order", c.Order, "none or key")
	f.check(c.Order != resource.OrderKey || c.Keys > 0, "Keys", c.Keys, "at least 1 with order key")
}

func (c *Config) validateFaults(f *faults) {
	within(f, "Fail", c.Fail, 0, 1)
	within(f, "Replies", c.Replies, 0, 1)
	within(f, "Poison", c.Poison, 0, 1)
	for _, x := range c.Faults {
		f.check(slices.Contains(Faults(), x), "Faults", x, "some of "+joinFaults(Faults()))
	}
	f.check(c.Fail == 0 || len(c.Faults) > 0, "Faults", "none", "at least one of "+joinFaults(Faults())+", or Fail 0")
}

func joinFaults(list []Fault) string {
	words := make([]string, len(list))
	for i := range list {
		words[i] = string(list[i])
	}
	return strings.Join(words, ", ")
}

// faults collects what is wrong with a configuration.
type faults []error

func (f *faults) check(ok bool, field string, value any, allowed string) {
	if !ok {
		*f = append(*f, fmt.Errorf("%s %v: want %s", field, value, allowed))
	}
}

func within[T int | float64 | time.Duration](f *faults, field string, v, low, high T) {
	f.check(v >= low && v <= high, field, v, fmt.Sprintf("%v to %v", low, high))
}
