package app

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/ingest"
)

// TestKeysAreFollowed takes a key away while a gateway runs, and then spoils
// the file: what was in force stays so.
func TestKeysAreFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	first, one := ingest.NewKey("one", time.Now())
	second, two := ingest.NewKey("two", time.Now())
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keys := func(of ...ingest.Key) []byte {
		t.Helper()
		text, err := ingest.FormatKeys(of)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	if _, err := openKeys(path, log); err == nil || !strings.Contains(err.Error(), "producer.keys_file") {
		t.Errorf("without a file: %v", err)
	}
	write(keys(one, two))
	ring, err := openKeys(path, log)
	if err != nil {
		t.Fatal(err)
	}
	gateway := ingest.New(ingest.Options{Keys: ring.get, Limits: ingest.Limits{RequestBytesMax: 100, BatchEventsMax: 1}, InflightBytesMax: 100, Timeout: time.Second})
	known := func(secret string) bool {
		r := httptest.NewRequest(http.MethodGet, "/v1/participants/ada", nil)
		r.Header.Set("Authorization", "Bearer "+secret)
		w := httptest.NewRecorder()
		gateway.ServeHTTP(w, r)
		return w.Code != http.StatusUnauthorized
	}
	if !known(first) || !known(second) {
		t.Error("a key of the file is not known")
	}
	write(keys(two))
	ring.looked = time.Time{} // a second has passed
	if known(first) || !known(second) {
		t.Error("the change was not followed")
	}
	write([]byte("keys: [oops"))
	ring.looked = time.Time{}
	if known(first) || !known(second) || !strings.Contains(said.String(), "the API keys stay as they were") {
		t.Errorf("a spoiled file changed something, or nobody was told:\n%s", said.String())
	}
}
