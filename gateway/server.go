package gateway

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/gateway/api"
	"github.com/signalbox-dev/signalbox/gateway/hooks"
	"github.com/signalbox-dev/signalbox/gateway/ingest"
	"github.com/signalbox-dev/signalbox/gateway/invoke"
	"github.com/signalbox-dev/signalbox/gateway/subscribe"
	"github.com/signalbox-dev/signalbox/resource"
)

// Server is one gateway. Make it with New, then Run it once.
type Server struct {
	config Config
	deps   Deps
	app    *fiber.App
	// next is fiber's handler; serve stands before it.
	next   fasthttp.RequestHandler
	guard  *access.Guard
	ingest *ingest.Handler
	api    *api.API
	hub    *subscribe.Hub
	hooks  *hooks.Handler
	invoke *invoke.Handler
	routes []route
	// allow are the methods of paths without parameters.
	allow map[string]string

	stopping atomic.Bool
	mu       sync.Mutex
	listener *listener
	ids      *requestIDs
	// openAPI is the document as JSON.
	openAPI func() ([]byte, error)
	// checkHosts: requests under names that are not ours are refused.
	checkHosts bool
	// certificates are nil where no TLS is spoken.
	certificates *certificates
}

// New makes a server that does not listen yet. The error lists everything that
// is wrong with the configuration.
func New(c Config, d Deps) (*Server, error) {
	if err := errors.Join(c.Validate(), d.validate()); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	guard := access.New(c.Access, access.Deps{Manager: d.Manager, Recorder: d.Recorder, Now: d.Now, Logger: d.Logger})
	c.Access.RootKey = "" // the guard has its hash
	s := &Server{
		config: c, deps: d, guard: guard, ids: newRequestIDs(), checkHosts: c.hostsChecked(),
		ingest: ingest.New(c.Ingest, ingest.Deps{Guard: guard, Appender: d.Appender, Admitter: d.Admitter, Validator: d.Validator, Traces: d.Traces, Metrics: d.Metrics, Logger: d.Logger}),
		api:    api.New(c.API, api.Deps{Guard: guard, Resources: d.Resources, Reader: d.Reader, Letters: d.Letters, Deliveries: d.Deliveries, Explainer: d.Explainer, Artifacts: d.Artifacts, WhatIfs: d.WhatIfs, Tracer: d.Tracer, Graphs: d.Graphs, Catalogue: d.Catalogue, Filter: d.Filter, Now: d.Now}),
		hub:    subscribe.New(c.Subscribe, subscribe.Deps{Valid: guard.Valid, Follower: d.Reader, History: d.Reader, Filter: d.Filter, Logger: d.Logger, Now: d.Now}),
	}
	if d.Callbacks == nil {
		d.Callbacks = resource.CheckCallback
	}
	if d.Functions != nil {
		s.invoke = invoke.New(c.Invoke, invoke.Deps{Functions: d.Functions, Admitter: s.ingest, Acceptor: s.ingest, Callbacks: d.Callbacks, Transport: d.Transport, Ran: d.Ran, Traces: d.Traces, Logger: d.Logger, Now: d.Now})
	}
	if d.Webhooks != nil {
		s.hooks = hooks.New(hooks.Deps{Guard: guard, Webhooks: d.Webhooks, Acceptor: s.ingest, Traces: d.Traces, Metrics: d.Metrics, Logger: d.Logger, Now: d.Now})
	}
	s.app = fiber.New(s.fiberConfig())
	s.routes = s.table()
	s.allow = fixedPaths(s.routes)
	s.openAPI = sync.OnceValues(func() ([]byte, error) { return json.Marshal(s.document()) })
	for _, r := range s.routes {
		handler := s.guarded(r)
		s.app.Add(r.method, r.path, handler)
		if r.method == fiber.MethodGet {
			s.app.Add(fiber.MethodHead, r.path, handler)
		}
	}
	s.next = s.app.Handler()
	s.app.Server().Handler = s.serve
	return s, nil
}

// fiberConfig: StreamRequestBody would switch BodyLimit off; multipart bodies
// are left alone because a binary event's body is its data, byte for byte.
func (s *Server) fiberConfig() fiber.Config {
	return fiber.Config{
		DisableStartupMessage:        true,
		DisablePreParseMultipartForm: true,
		CaseSensitive:                true,
		BodyLimit:                    s.config.MaxBody,
		ReadBufferSize:               s.config.MaxHeader,
		ReduceMemoryUsage:            true, // see conn
		ReadTimeout:                  s.config.ReadTimeout,
		WriteTimeout:                 s.config.WriteTimeout,
		IdleTimeout:                  s.config.IdleTimeout,
		ErrorHandler:                 s.fail,
	}
}

// Listen opens the address, so that a taken port is known before anything else
// is started. Run does it where it has not been done.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	ln, err := net.Listen("tcp", s.config.Addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("--http %s: the port is taken; choose another with --http: %w", s.config.Addr, err)
	}
	if err != nil {
		return fmt.Errorf("--http %s: %w", s.config.Addr, err)
	}
	if s.certificates, err = openCertificates(s.config.TLS); err != nil {
		return errors.Join(fmt.Errorf("--tls-cert: %w", err), ln.Close())
	}
	var config *tls.Config
	if s.certificates != nil {
		config = s.certificates.server()
	}
	s.listener = newListener(ln, config, s.limits(), s.deps.Logger)
	return nil
}

// limits are those of the configuration, as far as the process may have files.
func (s *Server) limits() limits {
	l := limits{connections: s.config.MaxConnections, perAddress: s.config.MaxPerAddress, first: s.config.FirstByte, header: 2 * s.config.MaxHeader}
	if files := maxFiles(); files > 0 && l.connections > files-files/4 {
		l.connections = max(files-files/4, 16)
		s.deps.Logger.Info("fewer connections than --max-connections: the process may not open more files", "connections", l.connections, "files", files)
	}
	if l.perAddress == 0 {
		l.perAddress = l.connections / 2
	}
	return l
}

// maxFiles is how many files the process may have open; 0 is not known.
func maxFiles() int {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil || r.Cur > 1<<30 {
		return 0
	}
	return int(r.Cur)
}

// LoadKeys swaps in the API keys in force. It is safe for concurrent use.
func (s *Server) LoadKeys(keys []*resource.Key) { s.guard.LoadKeys(keys) }

// Addr is the address listened on, host:port; "" before Listen.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Run serves until ctx ends, then stops in order: /readyz says 503, live
// streams are ended, the listener closes, requests under way are answered. It
// returns nil after a clean stop.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	background, end := context.WithCancel(context.Background())
	var work sync.WaitGroup
	defer work.Wait()
	defer end()
	work.Go(func() { s.guard.Run(background) })
	if s.certificates != nil {
		work.Go(func() { s.certificates.watch(background, s.deps.Logger) })
	}
	served := make(chan error, 1)
	go func() { served <- s.app.Listener(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("gateway: %w", err)
	case <-ctx.Done():
	}
	return s.stop(served)
}

func (s *Server) stop(served <-chan error) error {
	s.stopping.Store(true)
	if s.config.StopDelay > 0 {
		delay := time.NewTimer(s.config.StopDelay)
		defer delay.Stop()
		select {
		case <-delay.C:
		case err := <-served:
			return fmt.Errorf("gateway: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.config.StopTimeout)
	defer cancel()
	// The listener closes first, so that no request comes to a server that has
	// not begun to serve yet and would then never see the stop.
	closed := s.listener.Close()
	s.listener.closeUnused()
	hub := s.hub.Close(ctx)
	err := s.app.ShutdownWithContext(ctx)
	s.listener.closeAll()
	<-served
	return errors.Join(closed, named("live streams", hub), named("requests under way", err))
}

func named(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("gateway: %s at the end: %w", what, err)
}
