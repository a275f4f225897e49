package function

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Drain is how long Serve lets calls under way take once it is asked to end.
const Drain = 30 * time.Second

// Serve calls f with each event that is posted, until SIGTERM or SIGINT; then it returns nil
// once the calls under way have ended, or an error after Drain. It listens on PORT,
// else 8080, of SIGNALBOX_HOST, else all addresses.
func Serve(f HandlerFunc) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	l, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("SIGNALBOX_HOST"), cmp.Or(os.Getenv("PORT"), "8080")))
	if err != nil {
		return err
	}
	return ServeListener(ctx, l, f)
}

// ServeListener is Serve on a listener, which it closes, until ctx ends.
func ServeListener(ctx context.Context, l net.Listener, f HandlerFunc) error {
	server := &http.Server{Handler: Handler(f), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	draining, cancel := context.WithTimeout(context.Background(), Drain)
	defer cancel()
	err := server.Shutdown(draining)
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// lines is a logger whose lines are JSON objects that the gateway reads: time, level
// (debug, info, warn, error), msg, and what is beside them.
func lines() *slog.Logger { return slog.New(slog.NewJSONHandler(os.Stdout, nil)) }
