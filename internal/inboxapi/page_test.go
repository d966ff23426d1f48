package inboxapi_test

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// get returns an answer and its text.
func (s *server) get(path string, header ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(header) == 2 {
		r.Header.Set(header[0], header[1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(body)
}

// elsewhere is what the page's files must not hold: addresses of others, and
// ways to make markup or code of a text.
var elsewhere = regexp.MustCompile(`(?i)(https?:)?//[a-z0-9.-]+\.[a-z]{2,}|innerHTML|outerHTML|insertAdjacent|\beval\b|new Function`)

func TestPage(t *testing.T) {
	s := serve(t, 0)
	resp, body := s.get("/")
	if resp.StatusCode != 200 || resp.Request.URL.Path != "/inbox" {
		t.Fatalf("status %d at %s", resp.StatusCode, resp.Request.URL.Path)
	}
	if strings.Contains(body, "<style") || strings.Contains(body, "<script>") || strings.Contains(body, " style=") {
		t.Error("the page has a script or a style within, which its policy refuses")
	}
	if resp.Header.Get("Service-Worker-Allowed") != "" {
		t.Error("the page widens a worker's scope")
	}
	entries, err := os.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{"/inbox"}
	for _, e := range entries {
		if e.Name() != "inbox.html" {
			paths = append(paths, "/inbox/"+e.Name())
		}
	}
	_, worker := s.get("/inbox/worker.js")
	for _, path := range paths {
		resp, body := s.get(path)
		h := resp.Header
		if resp.StatusCode != 200 || h.Get("Content-Type") == "" || h.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: status %d, headers %v", path, resp.StatusCode, h)
		}
		if h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, h)
		}
		csp := h.Get("Content-Security-Policy")
		for _, part := range []string{
			"default-src 'none'", "script-src 'self'", "worker-src 'self'", "manifest-src 'self'", "connect-src 'self'",
			"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'",
		} {
			if !strings.Contains(csp, part) || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: the policy %q lacks %s, or is unsafe", path, csp, part)
			}
		}
		if found := elsewhere.FindString(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", "")); found != "" {
			t.Errorf("%s holds %q: it must not load or write markup from anywhere", path, found)
		}
		if again, _ := s.get(path, "If-None-Match", h.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s: what a browser has is sent again, with status %d", path, again.StatusCode)
		}
		if path != "/inbox/worker.js" && !strings.Contains(worker, `"`+path+`"`) {
			t.Errorf("the worker does not keep %s, so the page would not open offline", path)
		}
	}
	if resp, _ := s.get("/inbox/nothing.js"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a file that is not there has status %d", resp.StatusCode)
	}
}

// A browser fetches the page's files anew when the worker's text changed, so it
// holds the version of them all; and the page at /inbox is not below its path.
func TestPageWorker(t *testing.T) {
	resp, body := serve(t, 0).get("/inbox/worker.js")
	if resp.Header.Get("Service-Worker-Allowed") != "/inbox" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/javascript") {
		t.Errorf("headers %v", resp.Header)
	}
	version := regexp.MustCompile(`version = "([^"]+)"`).FindStringSubmatch(body)
	if version == nil || version[1] == "VERSION" || `"`+version[1]+`"` != resp.Header.Get("ETag") {
		t.Errorf("the worker's version is %q, the file's %s", version, resp.Header.Get("ETag"))
	}
}
