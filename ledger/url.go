package ledger

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// mode is how Redis is deployed.
type mode int

const (
	single mode = iota
	sentinel
	cluster
)

// address is a parsed Config.URL.
type address struct {
	mode           mode
	tls            bool
	hosts          []string
	user, password string
	master         string
	db             int
	// query holds the known parameters only.
	query url.Values
}

var schemes = map[string]address{
	"redis":           {mode: single},
	"rediss":          {mode: single, tls: true},
	"redis+sentinel":  {mode: sentinel},
	"rediss+sentinel": {mode: sentinel, tls: true},
	"redis+cluster":   {mode: cluster},
	"rediss+cluster":  {mode: cluster, tls: true},
}

// parseURL reads a Config.URL. Its errors never contain the URL, which may
// hold a password; net/url's do, and its Parse refuses lists of hosts.
func parseURL(raw string) (address, error) {
	scheme, rest, _ := strings.Cut(raw, "://")
	a, ok := schemes[scheme]
	if !ok {
		return a, errors.New("redis URL: want redis://, rediss://, redis+sentinel://, rediss+sentinel://, redis+cluster:// or rediss+cluster://")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	// The last @ ends the user part: one inside a password should be encoded, and often is not.
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		if err := a.setUser(authority[:i]); err != nil {
			return a, err
		}
		authority = authority[i+1:]
	}
	return a, errors.Join(a.setHosts(authority), a.setPath(path), a.setQuery(query))
}

func (a *address) setUser(info string) error {
	user, password, _ := strings.Cut(info, ":")
	var err1, err2 error
	a.user, err1 = url.PathUnescape(user)
	a.password, err2 = url.PathUnescape(password)
	if err1 != nil || err2 != nil {
		return errors.New("redis URL: user or password: a '%' that begins no percent-encoding")
	}
	return nil
}

func (a *address) setHosts(authority string) error {
	a.hosts = strings.Split(authority, ",")
	if a.mode == single && len(a.hosts) > 1 {
		return fmt.Errorf("redis URL: %d hosts: want one, or redis+sentinel:// or redis+cluster://", len(a.hosts))
	}
	port := "6379"
	if a.mode == sentinel {
		port = "26379"
	}
	for i, h := range a.hosts {
		if name, p, err := net.SplitHostPort(h); err == nil {
			if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 || name == "" {
				return fmt.Errorf("redis URL: address %d: want host:port with a port of 1 to 65535", i+1)
			}
			continue
		}
		name := strings.Trim(h, "[]")
		if name == "" || (strings.Contains(name, ":") && net.ParseIP(name) == nil) {
			return fmt.Errorf("redis URL: address %d: want host or host:port", i+1)
		}
		a.hosts[i] = net.JoinHostPort(name, port)
	}
	return nil
}

func (a *address) setPath(path string) error {
	if a.mode == cluster {
		if path != "" {
			return errors.New("redis URL: a path: a cluster has one database, number 0")
		}
		return nil
	}
	if a.mode == sentinel {
		a.master, path, _ = strings.Cut(path, "/")
		if a.master == "" {
			return errors.New("redis URL: path: want the name of the master, as in redis+sentinel://host:26379/mymaster")
		}
	}
	if path == "" {
		return nil
	}
	db, err := strconv.ParseUint(path, 10, 16)
	if err != nil {
		return errors.New("redis URL: database: want a number from 0")
	}
	a.db = int(db)
	return nil
}

func (a *address) setQuery(query string) error {
	var err error
	if a.query, err = url.ParseQuery(query); err != nil {
		return errors.New("redis URL: parameters: not percent-encoded rightly")
	}
	var faults []error
	for k := range a.query {
		switch k {
		case "ca", "cert", "key", "servername":
			if !a.tls {
				faults = append(faults, fmt.Errorf("redis URL: parameter %s: only with rediss", k))
			}
		case "sentinel_username", "sentinel_password":
			if a.mode != sentinel {
				faults = append(faults, fmt.Errorf("redis URL: parameter %s: only with sentinel", k))
			}
		default:
			faults = append(faults, errors.New("redis URL: an unknown parameter: want ca, cert, key, servername, sentinel_username or sentinel_password"))
		}
	}
	return errors.Join(faults...)
}

// Redact returns the URL without user, passwords and parameters, fit for logs
// and messages; what is no URL of Redis is not shown at all.
func Redact(raw string) string {
	scheme, rest, _ := strings.Cut(raw, "://")
	if _, ok := schemes[scheme]; !ok {
		return "(not a redis URL)"
	}
	rest, query, _ := strings.Cut(rest, "?")
	if strings.Contains(query, "@") {
		// A '?' or an '@' inside a password that is not encoded: no telling where it ends.
		return scheme + "://xxxxx"
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = "xxxxx@" + rest[i+1:]
	}
	return scheme + "://" + rest
}
