package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// checkTimeout bounds one readiness check.
const checkTimeout = 2 * time.Second

// Check is one reason why a process may not be ready. Run returns nil when the
// process does its work, and else says what is missing.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
}

// Handler serves what operators and orchestrators ask a process for:
//
//	/metrics      the registry, in Prometheus' formats
//	/healthz      200 as long as the process answers. It looks at no broker:
//	              restarting us does not mend one
//	/readyz       200 when every check passes, else 503, with each as JSON
//	/debug/pprof/ profiles, only where profiles is set
func (m *Metrics) Handler(profiles bool, checks ...Check) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: 8, Timeout: 10 * time.Second}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, checks) })
	if profiles {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

type checkResult struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// ready runs the checks side by side, so that one that hangs costs its own
// deadline and no more.
func ready(w http.ResponseWriter, r *http.Request, checks []Check) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	results := make([]checkResult, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() {
			results[i] = checkResult{Name: c.Name, OK: true}
			if err := runCheck(ctx, c); err != nil {
				results[i] = checkResult{Name: c.Name, Error: Redact(err.Error())}
			}
		})
	}
	all.Wait()
	answer := struct {
		Ready  bool          `json:"ready"`
		Checks []checkResult `json:"checks"`
	}{true, results}
	for _, one := range results {
		answer.Ready = answer.Ready && one.OK
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !answer.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// runCheck returns when the check does, or at the deadline where a check does
// not look at its context.
func runCheck(ctx context.Context, c Check) error {
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.New("no answer within " + checkTimeout.String())
	}
}
