package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Listen opens a TCP listener. An address that somebody chose must be free;
// where a default is taken, a free port of the same host stands in, and a
// warning says so: several processes on one machine then just work.
func Listen(ctx context.Context, log *slog.Logger, what, address string, chosen bool) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err == nil {
		return l, nil
	}
	if chosen && errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen for %s: %w: end the process that listens there (ss -ltnp names it), or choose another address; port 0 is any that is free", what, err)
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen for %s: %w", what, err)
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return nil, fmt.Errorf("listen for %s: %w", what, splitErr)
	}
	l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", what, err)
	}
	log.Warn("the default address for "+what+" is taken; using a free port", "taken", address, "address", l.Addr().String())
	return l, nil
}

type drainingKey struct{}

// Draining returns a channel that is closed when the server of this request's
// context begins to drain, or nil. A handler that would stream for ever ends
// then; the others are waited for.
func Draining(ctx context.Context) <-chan struct{} {
	draining, _ := ctx.Value(drainingKey{}).(<-chan struct{})
	return draining
}

type httpService struct {
	name     string
	listener net.Listener
	handler  http.Handler
	drain    time.Duration
}

// HTTP serves handler on listener. When its context ends it accepts nothing
// new, waits up to drain for the requests in flight, and cuts off the rest.
func HTTP(name string, listener net.Listener, handler http.Handler, drain time.Duration) Service {
	return &httpService{name, listener, handler, drain}
}

func (s *httpService) Name() string { return s.name }

func (s *httpService) Run(ctx context.Context) error {
	var draining <-chan struct{} = ctx.Done()
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		// Requests outlive the drain's beginning: what was accepted is finished.
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), drainingKey{}, draining)
		},
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", s.listener.Addr(), err)
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.drain)
	defer cancel()
	err := server.Shutdown(patience)
	if err != nil {
		_ = server.Close()
		err = fmt.Errorf("requests were cut off after %s: %w", s.drain, err)
	}
	if served := <-failed; err == nil && !errors.Is(served, http.ErrServerClosed) {
		err = fmt.Errorf("serve on %s: %w", s.listener.Addr(), served)
	}
	return err
}
