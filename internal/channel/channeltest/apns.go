package channeltest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What an app has at this APNs.
const (
	APNsKeyID = "KEY1234567"
	APNsTeam  = "TEAM123456"
	APNsTopic = "com.example.hunt"
)

// APNs is Apple's service. It checks the protocol, the provider token and the
// headers of each push, and shares no code with what makes them.
type APNs struct {
	URL   string // https
	Roots *x509.CertPool
	Key   string // a .p8 file's content

	t      testing.TB
	key    *ecdsa.PrivateKey
	now    func() time.Time
	answer http.HandlerFunc
	mu     sync.Mutex
	pushes []APNsPush
}

// APNsPush is what APNs took.
type APNsPush struct {
	Path   string
	Header http.Header
	Body   []byte
	Bearer string
}

// NewAPNs serves until the test's end, by the given clock. Answer runs for each
// push; what is wrong fails the test.
func NewAPNs(t testing.TB, now func() time.Time, answer http.HandlerFunc) *APNs {
	t.Helper()
	a := &APNs{t: t, now: now, answer: answer}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	a.Key = keyText(t, a.key)
	srv, roots := serve(t, a, true)
	a.URL, a.Roots = srv.URL, roots
	return a
}

// Pushes returns what arrived, in its order.
func (a *APNs) Pushes() []APNsPush {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.pushes)
}

// ServeHTTP is APNs.
func (a *APNs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // its sender was killed before it had said everything
	}
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "bearer ")
	if err := a.check(bearer); err != nil {
		a.t.Errorf("the provider token is wrong: %v", err)
	}
	h := r.Header
	device, ok := strings.CutPrefix(r.URL.Path, "/3/device/")
	if r.ProtoMajor != 2 || r.Method != http.MethodPost || !ok ||
		h.Get("apns-topic") != APNsTopic || len(h.Get("apns-collapse-id")) > 64 || len(body) > 4096 {
		a.t.Errorf("the push is wrong: %s %s %s, %v, %d bytes", r.Proto, r.Method, r.URL.Path, h, len(body))
	}
	var said struct {
		APS     struct{ Alert struct{ Title string } }
		Veltrix struct {
			Notification, Op string
			Revision         int
			InboxOffset      int64 `json:"inbox_offset"`
		}
	}
	if err := json.Unmarshal(body, &said); err != nil || said.Veltrix.Notification != h.Get("apns-collapse-id") {
		a.t.Errorf("the push says %s under the collapse ID %s: %v", body, h.Get("apns-collapse-id"), err)
	}
	a.mu.Lock()
	a.pushes = append(a.pushes, APNsPush{r.URL.Path, h, body, bearer})
	a.mu.Unlock()
	w.Header().Set("apns-id", h.Get("apns-id"))
	v := said.Veltrix
	a.answer(w, tell(r, Push{
		Channel: "apns", Notification: v.Notification, Revision: v.Revision, Op: v.Op, Title: said.APS.Alert.Title,
		InboxOffset: v.InboxOffset, Device: device,
	}))
}

// check checks iss, iat and kid: Apple refuses tokens that are older than an hour.
func (a *APNs) check(bearer string) error {
	claims := jwt.MapClaims{}
	_, err := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(APNsTeam), jwt.WithTimeFunc(a.now)).
		ParseWithClaims(bearer, claims, func(t *jwt.Token) (any, error) {
			if t.Header["kid"] != APNsKeyID {
				return nil, fmt.Errorf("the key's ID is %v", t.Header["kid"])
			}
			return &a.key.PublicKey, nil
		})
	if err != nil {
		return err
	}
	iat, err := claims.GetIssuedAt()
	if err == nil && (iat == nil || a.now().Sub(iat.Time) > time.Hour || iat.After(a.now())) {
		return fmt.Errorf("it was issued at %v", iat)
	}
	return err
}

// APNsReason answers as APNs does: with a word, and of a 410 with a time.
func APNsReason(code int, word string, since ...time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		if len(since) > 0 {
			fmt.Fprintf(w, `{"reason": %q, "timestamp": %d}`, word, since[0].UnixMilli())
			return
		}
		fmt.Fprintf(w, `{"reason": %q}`, word)
	}
}
