// Package embedded is a Redis inside the process, for `signalbox dev` and for
// tests: miniredis on loopback TCP. It keeps nothing on disk, so every start
// goes through the healing of the resources, and it is not made for many keys:
// the ids of events belong in ledger.MemoryDedup.
package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// sweep is how often keys whose time is up are removed; miniredis has no clock
// of its own.
const sweep = time.Second

// Config says where to listen. Start from DefaultConfig.
type Config struct {
	// Listen is host:port; port 0 is any free one. There is no password: keep
	// to loopback. Default 127.0.0.1:6379.
	Listen string
	// Logger may be nil.
	Logger *slog.Logger
}

// DefaultConfig listens where a Redis is expected, on loopback only.
func DefaultConfig() Config { return Config{Listen: "127.0.0.1:6379"} }

// Server is a running embedded Redis.
type Server struct {
	redis *miniredis.Miniredis
	addr  string
	stop  chan struct{}
	once  sync.Once
	swept sync.WaitGroup
}

// Start listens and serves until Close. A taken port is an error that names
// the flag --redis-listen.
func Start(cfg Config) (*Server, error) {
	if cfg.Listen == "" {
		return nil, errors.New("embedded redis: Listen is empty: want host:port")
	}
	s := &Server{redis: miniredis.NewMiniRedis(), stop: make(chan struct{})}
	if err := s.redis.StartAddr(cfg.Listen); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("embedded redis: %s is taken: choose another address with --redis-listen: %w", cfg.Listen, err)
		}
		return nil, fmt.Errorf("embedded redis: cannot listen on %s (--redis-listen): %w", cfg.Listen, err)
	}
	s.addr = s.redis.Addr() // miniredis cannot say after it was closed
	if cfg.Logger != nil {
		cfg.Logger.Debug("embedded redis listens", "address", s.addr)
	}
	s.swept.Go(s.sweep)
	return s, nil
}

// Addr is the host:port it listens on, or listened on before Close.
func (s *Server) Addr() string { return s.addr }

// URL is the address for ledger.Config.
func (s *Server) URL() string { return "redis://" + s.addr }

// Close stops it and drops what it holds; further calls do nothing.
func (s *Server) Close() error {
	s.once.Do(func() {
		close(s.stop)
		s.swept.Wait()
		s.redis.Close()
	})
	return nil
}

func (s *Server) sweep() {
	tick := time.NewTicker(sweep)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-s.stop:
			return
		case now := <-tick.C:
			s.redis.FastForward(now.Sub(last))
			last = now
		}
	}
}
