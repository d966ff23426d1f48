package app

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/veltrix/veltrix/internal/devcluster"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// TestInboxOfAnIssuer: with keys of one's own server, its tokens open inboxes, and
// those of the secret are made by nobody any more.
func TestInboxOfAnIssuer(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"one","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
	}))
	t.Cleanup(issuer.Close)
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	cfg := upConfig()
	cfg.Kafka.Brokers, cfg.Redis.Addrs = cluster.Brokers, []string{cluster.RedisAddr}
	cfg.Notifier.JWKSURL, cfg.Notifier.TokenAudience = issuer.URL, "game"
	rt := Runtime{Config: cfg, Log: slog.New(slog.DiscardHandler), Metrics: telemetry.New(), BootID: cluster.BootID}
	if _, err := rt.Topics(t.Context(), "topics", kafkalog.TopicPlanOptions{Profile: "dev"}, kafkalog.ApplyTopics); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- NewNotifier(rt, listener).Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "ada", "aud": "game", "exp": time.Now().Add(time.Minute).Unix()})
	token.Header["kid"] = "one"
	signed, err := token.SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+"/v1/inbox", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+signed)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	code := ask()
	for began := time.Now(); code == http.StatusServiceUnavailable && time.Since(began) < time.Minute; code = ask() {
		time.Sleep(50 * time.Millisecond) // it is connecting
	}
	if code != http.StatusOK {
		t.Errorf("the issuer's token is answered %d", code)
	}
	if _, err := rt.Token(t.Context(), "ada", time.Minute); err == nil || !strings.Contains(err.Error(), issuer.URL) {
		t.Errorf("a token of the secret: %v", err)
	}
}
