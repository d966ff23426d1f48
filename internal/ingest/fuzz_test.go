package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/ingest"
	"github.com/veltrix/veltrix/internal/wire"
)

// counting takes every record and keeps the keys.
type counting struct{ keys []string }

func (c *counting) Append(_ context.Context, records []wire.Record) ([]ingest.Position, error) {
	for i := range records {
		c.keys = append(c.keys, string(records[i].Key))
	}
	return make([]ingest.Position, len(records)), nil
}

// FuzzBodies sends one body as a batch and as lines, whole and in part. What is
// answered is what was done: a 202 has as many positions as there are events,
// and as many were appended; a refusal appended nothing and is a problem
// document; partial never takes less than whole.
func FuzzBodies(f *testing.F) {
	good := event("1", clue)
	for _, body := range []string{
		good, good + "\n" + good, "[" + good + "," + good + "]", "[]", "[" + good, good + "\n{", "\n\n" + good + "\r\n", "[" + good + "]]", "[" + good + ",]",
		"[{}]", "null", strings.Repeat("[", 200), good + "\n" + strings.Replace(good, "partitionkey", "partitionkeys", 1), "\ufeff" + good,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, kind := range []string{"application/cloudevents-batch+json", "application/x-ndjson"} {
			whole := sendBody(t, kind, "/v1/events", body)
			part := sendBody(t, kind, "/v1/events?partial=true", body)
			if whole > part {
				t.Errorf("as %s, %d events are taken whole and %d in part", kind, whole, part)
			}
			if kind != "application/cloudevents-batch+json" || whole == 0 {
				continue
			}
			// encoding/json has to see the same number of elements.
			var elements []json.RawMessage
			if err := json.Unmarshal(body, &elements); err != nil || len(elements) != whole {
				t.Errorf("%d events are taken of a batch in which encoding/json sees %d, %v", whole, len(elements), err)
			}
		}
	})
}

// sendBody returns how many events were taken.
func sendBody(t *testing.T, kind, path string, body []byte) int {
	t.Helper()
	to := &counting{}
	g := ingest.New(ingest.Options{Appender: to, Limits: ingest.Limits{RequestBytesMax: 1 << 20, BatchEventsMax: 100}, InflightBytesMax: 1 << 22, Timeout: time.Minute})
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", path, bytes.NewReader(body))
	r.Header.Set("Content-Type", kind)
	g.ServeHTTP(w, r)
	var answer struct {
		Accepted  int
		Positions []ingest.Position
		Refused   int
		Status    int
		Errors    []ingest.Fault
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%d: %v: %s", w.Code, err, w.Body)
	}
	switch w.Code {
	case 202, 207:
		if answer.Accepted != len(to.keys) || len(answer.Positions) != len(to.keys) || (answer.Refused > 0) != (w.Code == 207) || answer.Refused != len(answer.Errors) {
			t.Errorf("%d: %d appended, and it says %s", w.Code, len(to.keys), w.Body)
		}
	case 400, 413, 422:
		if len(to.keys) > 0 || answer.Status != w.Code || w.Header().Get("Content-Type") != "application/problem+json" || (w.Code == 422) != (len(answer.Errors) > 0) {
			t.Errorf("%d: %d appended, and it says %s", w.Code, len(to.keys), w.Body)
		}
	default:
		t.Errorf("it answers %d: %s", w.Code, w.Body)
	}
	return len(to.keys)
}
