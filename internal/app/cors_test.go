package app

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/ingest"
)

// TestCORS asks as browsers do, for pages that may call the gateway, that may
// not, and where nobody said that any may.
func TestCORS(t *testing.T) {
	t.Parallel()
	const ours, theirs = "https://play.example", "https://other.example"
	gateway := ingest.New(ingest.Options{Limits: ingest.Limits{RequestBytesMax: 100, BatchEventsMax: 1}, InflightBytesMax: 100, Timeout: time.Second})
	for _, c := range []struct {
		name, method, path, origin string
		allowed                    []string
		asks                       string // the method that a preflight asks for
		status                     int
		allow                      string // the answer's origin
	}{
		{"off", http.MethodGet, "/", ours, nil, "", http.StatusOK, ""},
		{"off, preflight", http.MethodOptions, "/v1/events", ours, nil, http.MethodPost, http.StatusMethodNotAllowed, ""},
		{"ours", http.MethodGet, "/", ours, []string{ours}, "", http.StatusOK, ours},
		{"ours, refused", http.MethodPost, "/v1/events", ours, []string{ours}, "", http.StatusUnsupportedMediaType, ours},
		{"ours, preflight", http.MethodOptions, "/v1/events", ours, []string{ours}, http.MethodPost, http.StatusNoContent, ours},
		{"ours, preflight of a state", http.MethodOptions, "/v1/participants/ada", ours, []string{theirs, ours}, http.MethodGet, http.StatusNoContent, ours},
		{"ours, preflight of what is not there", http.MethodOptions, "/v1/events", ours, []string{ours}, http.MethodDelete, http.StatusNoContent, ""},
		{"theirs", http.MethodGet, "/", theirs, []string{ours}, "", http.StatusOK, ""},
		{"theirs, preflight", http.MethodOptions, "/v1/events", theirs, []string{ours}, http.MethodPost, http.StatusNoContent, ""},
		{"nearly ours", http.MethodGet, "/", ours + ".evil.example", []string{ours}, "", http.StatusOK, ""},
		{"any", http.MethodGet, "/", theirs, []string{"*"}, "", http.StatusOK, "*"},
		{"any, preflight", http.MethodOptions, "/v1/events", theirs, []string{"*"}, http.MethodPost, http.StatusNoContent, "*"},
		{"no browser", http.MethodGet, "/", "", []string{ours}, "", http.StatusOK, ""},
		{"no preflight", http.MethodOptions, "/v1/events", ours, []string{ours}, "", http.StatusMethodNotAllowed, ours},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if c.asks != "" {
			r.Header.Set("Access-Control-Request-Method", c.asks)
			r.Header.Set("Access-Control-Request-Headers", "authorization,ce-id,content-type")
		}
		w := httptest.NewRecorder()
		shared(gateway, c.allowed).ServeHTTP(w, r)
		h := w.Header()
		if w.Code != c.status || h.Get("Access-Control-Allow-Origin") != c.allow {
			t.Errorf("%s: %d, allowed is %q; want %d and %q", c.name, w.Code, h.Get("Access-Control-Allow-Origin"), c.status, c.allow)
		}
		if h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: credentials are allowed", c.name)
		}
		switch varies := strings.Contains(h.Get("Vary"), "Origin"); {
		case len(c.allowed) == 0:
			for name := range h {
				if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
					t.Errorf("%s: the answer has %s", c.name, name)
				}
			}
		case !varies:
			t.Errorf("%s: a cache may give the answer to another origin", c.name)
		case c.allow != "" && c.asks != "":
			if h.Get("Access-Control-Allow-Methods") != c.asks || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "ce-id") || h.Get("Access-Control-Max-Age") == "" {
				t.Errorf("%s: %v", c.name, h)
			}
		case c.allow != "":
			if !strings.Contains(h.Get("Access-Control-Expose-Headers"), "Retry-After") {
				t.Errorf("%s: a page cannot see when to send again: %v", c.name, h)
			}
		}
	}
}
