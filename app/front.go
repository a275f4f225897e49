package app

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/signalbox-dev/signalbox/gateway"
)

// FrontOptions bound what strangers may do to the HTTP server.
type FrontOptions struct {
	MaxConnections           int
	MaxConnectionsPerAddress int
	RequestTimeout           time.Duration
	CORSOrigins              []string
	AllowedHosts             []string
}

func defaultFront() FrontOptions {
	c := gateway.DefaultConfig()
	return FrontOptions{MaxConnections: c.MaxConnections, RequestTimeout: c.ReadTimeout}
}

func (o *FrontOptions) flags(fs *pflag.FlagSet) {
	fs.IntVar(&o.MaxConnections, "max-connections", o.MaxConnections, "connections to the HTTP server at most; when all are taken the one that has sent nothing for longest is closed for a new one")
	fs.IntVar(&o.MaxConnectionsPerAddress, "max-connections-per-address", o.MaxConnectionsPerAddress, "connections of one address at most (of IPv6: of one /64); 0: half of --max-connections")
	fs.DurationVar(&o.RequestTimeout, "request-timeout", o.RequestTimeout, "how long a request may take to arrive, and its answer to be read")
	fs.StringSliceVar(&o.CORSOrigins, "cors-origins", o.CORSOrigins, "origins (https://app.example) whose web pages may send requests and read the answers; *: all; empty: none")
	fs.StringSliceVar(&o.AllowedHosts, "allowed-hosts", o.AllowedHosts, "names, beside addresses and localhost, under which requests may come; empty: any, but none with --auth none on loopback, where a web page could otherwise come in by a name of its own")
}

// apply sets them on the gateway's configuration.
func (o *FrontOptions) apply(c *gateway.Config) {
	c.MaxConnections, c.MaxPerAddress = o.MaxConnections, o.MaxConnectionsPerAddress
	c.ReadTimeout, c.WriteTimeout = o.RequestTimeout, o.RequestTimeout
	c.CORSOrigins, c.AllowedHosts = o.CORSOrigins, o.AllowedHosts
}

// validate reports what is out of range, by the names of the flags.
func (o *FrontOptions) validate() []error {
	c := gateway.DefaultConfig()
	o.apply(&c)
	err := c.Validate()
	if err == nil {
		return nil
	}
	text := strings.NewReplacer("MaxConnections", "--max-connections", "MaxPerAddress", "--max-connections-per-address", "ReadTimeout", "--request-timeout",
		"CORSOrigins", "--cors-origins", "AllowedHosts", "--allowed-hosts").Replace(err.Error())
	var faults []error
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "WriteTimeout") { // the same once more
			faults = append(faults, errors.New(strings.TrimSpace(line)))
		}
	}
	return []error{fmt.Errorf("%w", errors.Join(faults...))}
}
