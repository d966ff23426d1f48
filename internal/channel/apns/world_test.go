package apns_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/veltrix/veltrix/internal/channel/apns"
	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

const (
	phoneToken = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
	newToken   = "ff1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"
)

// push is what APNs took.
type push struct {
	path   string
	header http.Header
	body   []byte
	bearer string
}

// timeout bounds an attempt. It is longer than the suite asks for: a busy machine
// takes its time over so many TLS handshakes at once, and the suite's hang lasts longer still.
const timeout = 4 * channeltest.Timeout

// world is an APNs and a channel to it.
type world struct {
	t          *testing.T
	ch         *apns.Channel
	devices    *deliverytest.Devices
	registered time.Time
	answer     http.HandlerFunc
	key        *ecdsa.PrivateKey
	keyText    string

	mu     sync.Mutex
	ahead  time.Duration // of the world's clock
	pushes []push
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

func newWorld(t *testing.T, answer http.HandlerFunc) *world {
	t.Helper()
	w := &world{t: t, answer: answer, devices: deliverytest.NewDevices(), registered: time.Now().Add(-time.Hour)}
	var err error
	if w.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(w.key)
	if err != nil {
		t.Fatal(err)
	}
	w.keyText = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	srv := httptest.NewUnstartedServer(w)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	config := apns.Config{
		Key: w.keyText, KeyID: "KEY1234567", Team: "TEAM123456", Topic: "com.example.hunt", Environment: "sandbox",
		Timeout: timeout, URL: srv.URL, Allow: loopback, Roots: x509.NewCertPool(), Now: w.now,
	}
	config.Roots.AddCert(srv.Certificate())
	if answer == nil {
		config.URL = "https://" + channeltest.Nobody(t)
	}
	if w.ch, err = apns.New(config, w.devices); err != nil {
		t.Fatal(err)
	}
	w.put(phoneToken, w.registered)
	return w
}

// put registers alice's phone.
func (w *world) put(token string, at time.Time) {
	d := delivery.Device{ID: "phone", Channel: apns.Name, Token: token, Registered: at}
	if err := w.devices.Put(w.t.Context(), "alice", d); err != nil {
		w.t.Error(err)
	}
}

func (w *world) subject() channeltest.Subject {
	return channeltest.Subject{
		Channel: w.ch, Participant: "alice", Target: "phone", Secrets: []string{phoneToken, newToken, "PRIVATE KEY", "eyJ"},
	}
}

// ServeHTTP is APNs: it checks the protocol, the provider token and the headers.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Error(err)
	}
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "bearer ")
	claims := jwt.MapClaims{}
	// iss, iat and kid: Apple refuses tokens that are older than an hour.
	_, err = jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer("TEAM123456"), jwt.WithTimeFunc(w.now)).
		ParseWithClaims(bearer, claims, func(t *jwt.Token) (any, error) {
			if t.Header["kid"] != "KEY1234567" {
				return nil, fmt.Errorf("the key's ID is %v", t.Header["kid"])
			}
			return &w.key.PublicKey, nil
		})
	iat, _ := claims.GetIssuedAt()
	if err != nil || iat == nil || w.now().Sub(iat.Time) > time.Hour || iat.After(w.now()) {
		w.t.Errorf("the provider token is wrong: %v, %v", err, claims)
	}
	h := r.Header
	if r.ProtoMajor != 2 || r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/3/device/") ||
		h.Get("apns-topic") != "com.example.hunt" || len(h.Get("apns-collapse-id")) > 64 || len(body) > 4096 {
		w.t.Errorf("the push is wrong: %s %s %s, %v, %d bytes", r.Proto, r.Method, r.URL.Path, h, len(body))
	}
	w.mu.Lock()
	w.pushes = append(w.pushes, push{r.URL.Path, h, body, bearer})
	w.mu.Unlock()
	rw.Header().Set("apns-id", h.Get("apns-id"))
	w.answer(rw, r)
}

// reason answers as APNs does: with a word, and of a 410 with a time.
func reason(code int, word string, since ...time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		if len(since) > 0 {
			fmt.Fprintf(w, `{"reason": %q, "timestamp": %d}`, word, since[0].UnixMilli())
			return
		}
		fmt.Fprintf(w, `{"reason": %q}`, word)
	}
}
