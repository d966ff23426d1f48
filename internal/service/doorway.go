package service

import (
	"net/http"
	"sync/atomic"
)

// Doorway answers 503 until what it leads to is there: a listener that is open
// before its server can work would leave callers waiting without an answer.
type Doorway struct{ handler atomic.Pointer[http.Handler] }

// Open leads to h from now on.
func (d *Doorway) Open(h http.Handler) { d.handler.Store(&h) }

// ServeHTTP implements http.Handler.
func (d *Doorway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := d.handler.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Retry-After", "2")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(`{"type":"about:blank","title":"starting","status":503,"detail":"this service is not ready yet: it waits for what it needs, and its log says for what; try again"}` + "\n"))
}
