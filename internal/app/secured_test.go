package app

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// TestInboxOverTLS: the notifier's listener is secured as the gateway's is, from
// the first request on, when nothing behind it is there yet.
func TestInboxOverTLS(t *testing.T) {
	t.Parallel()
	lender := httptest.NewTLSServer(http.NotFoundHandler()) // it has a certificate for loopback
	t.Cleanup(lender.Close)
	pair := lender.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := upConfig()
	cfg.Kafka.Brokers = []string{"127.0.0.1:1"} // nobody's
	files := &cfg.Notifier.TLS
	files.CertFile, files.KeyFile = filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	for path, block := range map[string]*pem.Block{
		files.CertFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		files.KeyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rt := Runtime{Config: cfg, Log: slog.New(slog.DiscardHandler), Metrics: telemetry.New()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- NewNotifier(rt, listener).Run(ctx) }()
	resp, err := lender.Client().Get(url(listener.Addr(), *files) + "/v1/inbox")
	if err != nil {
		t.Error(err)
	} else if resp.Body.Close(); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %s from a notifier that has no brokers", resp.Status)
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	files.KeyFile = files.CertFile
	if err := NewNotifier(rt, listener).Run(t.Context()); service.ExitCode(err) != service.ExitConfig {
		t.Errorf("with a certificate in the key's place: %v", err)
	}
}
