package service

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestDoorway(t *testing.T) {
	var d Doorway
	ask := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/events", strings.NewReader("{}")))
		return w
	}
	if w := ask(); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get("Content-Type") != "application/problem+json" || !strings.Contains(w.Body.String(), `"status":503`) {
		t.Errorf("closed: %d %v %s", w.Code, w.Header(), w.Body)
	}
	d.Open(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	if w := ask(); w.Code != http.StatusAccepted {
		t.Errorf("open: %d", w.Code)
	}
}
