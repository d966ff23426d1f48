package inboxapi_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
	"github.com/veltrix/veltrix/internal/inboxapi"
)

// issuer publishes its keys, and signs.
type issuer struct {
	t     *testing.T
	mu    sync.Mutex
	keys  map[string]crypto.Signer // by kid
	away  atomic.Bool
	asked atomic.Int64
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	i.asked.Add(1)
	if i.away.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	text := base64.RawURLEncoding.EncodeToString
	for kid, key := range i.keys {
		switch public := key.Public().(type) {
		case ed25519.PublicKey:
			set.Keys = append(set.Keys, map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": text(public)})
		case *ecdsa.PublicKey:
			point, err := public.Bytes()
			if err != nil {
				i.t.Error(err)
			}
			set.Keys = append(set.Keys, map[string]string{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": text(point[1:33]), "y": text(point[33:])})
		}
	}
	_ = json.NewEncoder(w).Encode(set)
}

// add makes a key; only those of the set are published.
func (i *issuer) add(kid string, method jwt.SigningMethod) {
	i.t.Helper()
	var key crypto.Signer
	var err error
	if method == jwt.SigningMethodEdDSA {
		_, key, err = ed25519.GenerateKey(rand.Reader)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys[kid] = key
}

func (i *issuer) sign(method jwt.SigningMethod, kid string, key any, claims jwt.MapClaims) string {
	i.t.Helper()
	t := jwt.NewWithClaims(method, claims)
	t.Header["kid"] = kid
	signed, err := t.SignedString(key)
	if err != nil {
		i.t.Fatal(err)
	}
	return signed
}

func claimsFor(who, audience string, life time.Duration) jwt.MapClaims {
	return jwt.MapClaims{"sub": who, "aud": audience, "exp": time.Now().Add(life).Unix()}
}

func TestIssuersTokens(t *testing.T) {
	i := &issuer{t: t, keys: map[string]crypto.Signer{}}
	i.add("ed", jwt.SigningMethodEdDSA)
	i.add("ec", jwt.SigningMethodES256)
	published := httptest.NewServer(i)
	t.Cleanup(published.Close)
	inbox := deliverytest.NewInbox(5, time.Hour)
	api, err := inboxapi.New(inboxapi.Options{Inbox: inbox, Issuer: &inboxapi.Issuer{URL: published.URL, Audience: "game", Unknown: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	served := httptest.NewServer(api)
	t.Cleanup(func() {
		api.Close()
		served.Close()
	})
	s := &server{t, inbox, api, served.URL}
	s.add("alice", 1)
	good := claimsFor("alice", "game", time.Minute)
	open := func(token string, status int) {
		t.Helper()
		if body := s.do("GET", "/v1/inbox", token, "", status); status == 200 && body["participant"] != "alice" {
			t.Errorf("it opened the inbox of %v", body["participant"])
		}
	}
	open(i.sign(jwt.SigningMethodEdDSA, "ed", i.keys["ed"], good), 200)
	open(i.sign(jwt.SigningMethodES256, "ec", i.keys["ec"], good), 200)
	open(i.sign(jwt.SigningMethodEdDSA, "ed", i.keys["ed"], claimsFor("alice", "shop", time.Minute)), 403)
	open(i.sign(jwt.SigningMethodEdDSA, "ed", i.keys["ed"], claimsFor("", "game", time.Minute)), 403)
	open(i.sign(jwt.SigningMethodEdDSA, "ed", i.keys["ed"], claimsFor("alice", "game", -time.Minute)), 401)
	open(i.sign(jwt.SigningMethodEdDSA, "ed", i.keys["ed"], jwt.MapClaims{"sub": "alice", "aud": "game"}), 401)
	open(i.sign(jwt.SigningMethodES256, "ed", i.keys["ec"], good), 401)                                      // the key of another
	open(i.sign(jwt.SigningMethodNone, "ed", jwt.UnsafeAllowNoneSignatureType, good), 401)                   // by nobody
	open(i.sign(jwt.SigningMethodHS256, "ed", []byte(i.keys["ed"].Public().(ed25519.PublicKey)), good), 401) // with what everybody can read
	open(token(t, "alice", time.Minute), 401)                                                                // with a secret of ours

	// A new key is read when a token comes with it, and what was read holds while
	// the issuer is away.
	i.add("new", jwt.SigningMethodES256)
	fresh := i.sign(jwt.SigningMethodES256, "new", i.keys["new"], good)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); { // a busy machine may have to ask more than once
		if status, _ := s.raw("GET", "/v1/inbox", fresh, ""); status == 200 {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	open(fresh, 200)
	i.away.Store(true)
	time.Sleep(2 * time.Millisecond)
	i.add("later", jwt.SigningMethodES256)
	open(i.sign(jwt.SigningMethodES256, "later", i.keys["later"], good), 401)
	open(i.sign(jwt.SigningMethodES256, "new", i.keys["new"], good), 200)
}

// Tokens with keys that nobody knows do not make us ask the issuer without end.
func TestStrangersTokensAskSeldom(t *testing.T) {
	i := &issuer{t: t, keys: map[string]crypto.Signer{}}
	i.add("ec", jwt.SigningMethodES256)
	published := httptest.NewServer(i)
	t.Cleanup(published.Close)
	api, err := inboxapi.New(inboxapi.Options{Inbox: deliverytest.NewInbox(5, time.Hour), Issuer: &inboxapi.Issuer{URL: published.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	stranger := i.sign(jwt.SigningMethodES256, "unknown", i.keys["ec"], claimsFor("alice", inboxapi.Audience, time.Minute))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 200 {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/inbox", nil)
		r.Header.Set("Authorization", "Bearer "+stranger)
		w := httptest.NewRecorder()
		if api.ServeHTTP(w, r); w.Code != http.StatusUnauthorized {
			t.Fatalf("a stranger is answered %d", w.Code)
		}
	}
	if n := i.asked.Load(); n > 20 {
		t.Errorf("200 strangers made us ask %d times", n)
	}
}
