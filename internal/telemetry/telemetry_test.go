package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/twmb/franz-go/pkg/kgo"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the generated page")

func TestReferencePageIsCurrent(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "metrics.md")
	want := Reference()
	if *rewrite {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/metrics.md is not what the declarations say; run go test ./internal/telemetry -rewrite")
	}
}

// Names follow Prometheus' own rules, and no label has as many values as there
// are participants.
func TestDeclarations(t *testing.T) {
	m := New()
	seen := map[string]bool{}
	for _, d := range m.declared {
		if seen[d.Name] {
			t.Errorf("%s is declared twice", d.Name)
		}
		seen[d.Name] = true
		if !strings.HasSuffix(d.Help, ".") {
			t.Errorf("%s has no sentence", d.Name)
		}
		for _, l := range d.Labels {
			switch l {
			case "participant", "event", "notification", "player", "key", "target":
				t.Errorf("%s: label %s takes too many values", d.Name, l)
			}
		}
	}
	m.SetBuild("test")
	m.Processor.Records.WithLabelValues("applied").Inc()
	m.Notifier.Ambiguous.WithLabelValues("webhook", "drop").Inc()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestTwoProcessesInOne(t *testing.T) {
	one, two := New(), New()
	one.Gateway.Accepted.Add(3)
	if got := testutil.ToFloat64(two.Gateway.Accepted); got != 0 {
		t.Errorf("registries share a counter: %v", got)
	}
}

func TestLogRedacts(t *testing.T) {
	const secret = "hunter2"
	u, err := url.Parse("redis://user:" + secret + "@host/0")
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log := NewLogger(&out, slog.LevelInfo, format)
		log.Info(
			"opened https://user:"+secret+"@host/",
			"password", secret, "redis-password", secret, "Authorization", "Bearer "+secret, "token", secret, "bytes", []byte("shown"),
			"url", u, "link", "http://host/v1/inbox/stream?token="+secret+"&after=1", "header", "bearer "+secret,
			"error", errors.New("dial amqp://u:"+secret+"@h"), slog.Group("sasl", "secret", secret), "partition", 3,
		)
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s shows the secret: %s", format, out.String())
		}
		for _, kept := range []string{"after=1", "host", "3"} {
			if !strings.Contains(out.String(), kept) {
				t.Errorf("%s lost %q: %s", format, kept, out.String())
			}
		}
	}
}

func TestLogIsJSONInUTCFromItsLevel(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(&out, Level("warn"), "json")
	log.Info("not shown")
	log.Warn("shown", "partition", 7, "offset", int64(9))
	var line struct {
		Time      time.Time
		Level     string
		Msg       string
		Partition int
		Offset    int64
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if line.Msg != "shown" || line.Level != "WARN" || line.Partition != 7 || line.Offset != 9 || line.Time.Location() != time.UTC {
		t.Errorf("got %+v", line)
	}
}

func answer(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestHandler(t *testing.T) {
	m := New()
	away := errors.New("partition 3 is replaying")
	h := m.Handler(false, Check{"partitions", func(context.Context) error { return away }}, Check{"redis", func(context.Context) error { return nil }})
	if code, _ := answer(t, h, "/healthz"); code != 200 {
		t.Errorf("a process that is not ready is alive, got %d", code)
	}
	code, body := answer(t, h, "/readyz")
	want := `{"ready":false,"checks":[{"name":"partitions","ok":false,"error":"partition 3 is replaying"},{"name":"redis","ok":true}]}`
	if code != 503 || strings.TrimSpace(body) != want {
		t.Errorf("got %d %s", code, body)
	}
	away = nil
	if code, body := answer(t, h, "/readyz"); code != 200 || !strings.HasPrefix(body, `{"ready":true`) {
		t.Errorf("got %d %s", code, body)
	}
	m.Processor.Transactions.WithLabelValues("committed").Add(2)
	if _, body := answer(t, h, "/metrics"); !strings.Contains(body, `veltrix_processor_transactions_total{outcome="committed"} 2`) || !strings.Contains(body, "go_goroutines") {
		t.Errorf("metrics: %s", body)
	}
	if code, _ := answer(t, h, "/debug/pprof/"); code != 404 {
		t.Errorf("profiles without being asked for: %d", code)
	}
	if code, _ := answer(t, m.Handler(true), "/debug/pprof/"); code != 200 {
		t.Errorf("no profiles: %d", code)
	}
}

func TestReadyBoundsAHangingCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		released := make(chan struct{})
		h := New().Handler(false, Check{"hangs", func(context.Context) error { <-released; return nil }})
		start := time.Now()
		code, body := answer(t, h, "/readyz")
		if code != 503 || !strings.Contains(body, "no answer within 2s") || time.Since(start) != checkTimeout {
			t.Errorf("got %d %s after %s", code, body, time.Since(start))
		}
		close(released)
	})
}

func TestObserve(t *testing.T) {
	m := New()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/participants/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "data: 1\n\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	})
	h := m.Observe("gateway", mux)
	answer(t, h, "/v1/participants/anna")
	answer(t, h, "/v1/participants/bert")
	answer(t, h, "/stream")
	answer(t, h, "/nowhere")
	for labels, want := range map[[3]string]float64{
		{"gateway", "GET /v1/participants/{id}", "418"}: 2,
		{"gateway", "GET /stream", "200"}:               1,
		{"gateway", "none", "404"}:                      1,
	} {
		if got := testutil.ToFloat64(m.HTTP.Requests.WithLabelValues(labels[:]...)); got != want {
			t.Errorf("%v: %v requests, want %v", labels, got, want)
		}
	}
	if got := testutil.CollectAndCount(m.HTTP.Seconds); got != 2 {
		t.Errorf("%d routes timed, want 2: a stream's length is no latency", got)
	}
}

func TestKafkaHookIsShared(t *testing.T) {
	m := New()
	hook := m.KafkaHook()
	for range 2 {
		client, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:1"), kgo.WithHooks(hook), kgo.RequestRetries(0))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := client.Ping(ctx); err == nil {
			t.Error("something listens on port 1")
		}
		cancel()
		client.Close()
	}
	if got := testutil.ToFloat64(m.Kafka.Connects.WithLabelValues("error")); got < 2 {
		t.Errorf("%v refused connections counted, want both clients'", got)
	}
}
