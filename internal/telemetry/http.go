package telemetry

import (
	"net/http"
	"strconv"
	"time"
)

// Observe counts the requests of one server. The route is the pattern that the
// mux matched, never the path: a path has participants in it.
func (m *Metrics) Observe(server string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		seen := &statusWriter{ResponseWriter: w}
		defer func() {
			route := r.Pattern
			if route == "" {
				route = "none"
			}
			if seen.code == 0 {
				seen.code = http.StatusOK
			}
			m.HTTP.Requests.WithLabelValues(server, route, strconv.Itoa(seen.code)).Inc()
			if !seen.flushed {
				m.HTTP.Seconds.WithLabelValues(server, route).Observe(time.Since(start).Seconds())
			}
		}()
		next.ServeHTTP(seen, r)
	})
}

// statusWriter remembers the answer's code, and whether it was streamed.
type statusWriter struct {
	http.ResponseWriter
	code    int
	flushed bool
}

func (w *statusWriter) WriteHeader(code int) {
	// 1xx answers precede the real one, but 101 is the last.
	if w.code == 0 && (code >= 200 || code == http.StatusSwitchingProtocols) {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Flush keeps streams streaming; http.ResponseController finds the rest by
// Unwrap.
func (w *statusWriter) Flush() {
	w.flushed = true
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
