package channeltest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// FCM is Google's token endpoint and FCM's HTTP v1 API. It checks each exchange
// and each message as the documentation says, and shares no code with what makes
// them.
type FCM struct {
	URL   string // https
	Roots *x509.CertPool
	// Credentials is a service account's key, whose token_uri is this server's.
	Credentials string
	// Exchange answers an exchange in the place of a token, where it is set.
	Exchange http.HandlerFunc
	Lifetime int // of the tokens, in seconds (3600)

	t        testing.TB
	answer   http.HandlerFunc
	mu       sync.Mutex
	issued   []string
	messages []FCMMessage
}

// FCMMessage is what FCM takes.
type FCMMessage struct {
	Token   string
	Data    map[string]string
	Android struct {
		Priority, TTL string
		CollapseKey   string `json:"collapse_key"`
	}
}

var serviceKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return key
})

// NewFCM serves until the test's end. Answer runs for each message; what is
// wrong fails the test.
func NewFCM(t testing.TB, answer http.HandlerFunc) *FCM {
	t.Helper()
	f := &FCM{t: t, answer: answer, Lifetime: 3600}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", f.token)
	mux.HandleFunc("POST /v1/projects/hunt/messages:send", f.send)
	srv, roots := serve(t, mux, true)
	f.URL, f.Roots = srv.URL, roots
	key, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "hunt", "client_email": "push@hunt.example", "private_key_id": "k1",
		"private_key": keyText(t, serviceKey()), "token_uri": srv.URL + "/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Credentials = string(key)
	return f
}

// Issued returns the access tokens, in their order.
func (f *FCM) Issued() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.issued)
}

// Messages returns what arrived, in its order.
func (f *FCM) Messages() []FCMMessage {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.messages)
}

// token is Google's exchange: it checks the assertion.
func (f *FCM) token(w http.ResponseWriter, r *http.Request) {
	if f.Exchange != nil {
		f.Exchange(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // its sender was killed before it had said everything
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	claims := jwt.MapClaims{}
	_, err = jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(f.URL+"/token"), jwt.WithIssuer("push@hunt.example"),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
	).ParseWithClaims(r.FormValue("assertion"), claims, func(t *jwt.Token) (any, error) {
		if t.Header["kid"] != "k1" {
			return nil, fmt.Errorf("the key's ID is %v", t.Header["kid"])
		}
		return &serviceKey().PublicKey, nil
	})
	if err != nil || claims["scope"] != "https://www.googleapis.com/auth/firebase.messaging" ||
		r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		f.t.Errorf("the exchange is wrong: %v, %v", err, claims)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.issued = append(f.issued, fmt.Sprint("access-", len(f.issued)))
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token": %q, "token_type": "Bearer", "expires_in": %d}`, f.issued[len(f.issued)-1], f.Lifetime)
}

// send is FCM: it checks the bearer and the form of the message.
func (f *FCM) send(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // its sender was killed before it had said everything
	}
	var m struct{ Message FCMMessage }
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	err = dec.Decode(&m)
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	f.mu.Lock()
	known := slices.Contains(f.issued, bearer)
	f.messages = append(f.messages, m.Message)
	f.mu.Unlock()
	if err != nil || !known || m.Message.Token == "" {
		f.t.Errorf("the message is wrong: %v, known bearer: %v, %+v", err, known, m)
	}
	data := m.Message.Data
	revision, err := strconv.Atoi(data["revision"])
	offset, err2 := strconv.ParseInt(data["inbox_offset"], 10, 64)
	if err != nil || err2 != nil {
		f.t.Errorf("the message's numbers are wrong: %v", data)
	}
	f.answer(w, tell(r, Push{
		Channel: "fcm", Notification: data["notification"], Revision: revision, Op: data["op"], Title: data["title"],
		InboxOffset: offset, Device: m.Message.Token,
	}))
}

// FCMFailure answers as FCM does, with a sentence that holds the device's token.
func FCMFailure(code int, status, word string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.WriteHeader(code)
		details := ""
		if word != "" {
			details = fmt.Sprintf(`{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": %q}`, word)
		}
		fmt.Fprintf(w, `{"error": {"code": %d, "message": "not good: %s", "status": %q, "details": [%s]}}`, code, Told(r).Device, status, details)
	}
}
