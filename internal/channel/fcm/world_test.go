package fcm_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/channel/fcm"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

const phoneToken = "cPhone:APA91b-secret"

var serviceKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// message is what FCM takes.
type message struct {
	Message struct {
		Token   string
		Data    map[string]string
		Android struct {
			Priority, TTL string
			CollapseKey   string `json:"collapse_key"`
		}
	}
}

// timeout bounds an attempt. It is longer than the suite asks for: a busy machine
// takes its time over so many TLS handshakes at once, and the suite's hang lasts longer still.
const timeout = 4 * channeltest.Timeout

// world is Google's token endpoint and FCM, and a channel to them.
type world struct {
	t       *testing.T
	ch      *fcm.Channel
	devices *deliverytest.Devices
	url     string
	answer  http.HandlerFunc
	// exchange answers an exchange in the place of a token, where it is set.
	exchange http.HandlerFunc

	mu       sync.Mutex
	issued   []string
	lifetime int // of the tokens, in seconds
	messages []message
}

func newWorld(t *testing.T, answer http.HandlerFunc) *world {
	t.Helper()
	w := &world{t: t, answer: answer, devices: deliverytest.NewDevices(), lifetime: 3600}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", w.token)
	mux.HandleFunc("POST /v1/projects/hunt/messages:send", w.send)
	srv := httptest.NewUnstartedServer(mux)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	w.url = srv.URL
	der, err := x509.MarshalPKCS8PrivateKey(serviceKey())
	if err != nil {
		t.Fatal(err)
	}
	key, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "hunt", "client_email": "push@hunt.example", "private_key_id": "k1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": srv.URL + "/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	config := fcm.Config{Credentials: string(key), Timeout: timeout, URL: srv.URL, Allow: loopback, Roots: x509.NewCertPool()}
	config.Roots.AddCert(srv.Certificate())
	if answer == nil {
		config.URL = "https://" + channeltest.Nobody(t)
	}
	if w.ch, err = fcm.New(config, w.devices); err != nil {
		t.Fatal(err)
	}
	w.put(phoneToken)
	return w
}

// put registers alice's phone, with this token, since before now.
func (w *world) put(token string) {
	d := delivery.Device{ID: "phone", Channel: fcm.Name, Token: token, Registered: time.Now().Add(-time.Minute)}
	if err := w.devices.Put(w.t.Context(), "alice", d); err != nil {
		w.t.Error(err)
	}
}

func (w *world) subject() channeltest.Subject {
	return channeltest.Subject{
		Channel: w.ch, Participant: "alice", Target: "phone", Secrets: []string{phoneToken, "access-", "PRIVATE KEY"},
	}
}

// token is Google's exchange: it checks the assertion as the documentation says.
func (w *world) token(rw http.ResponseWriter, r *http.Request) {
	if w.exchange != nil {
		w.exchange(rw, r)
		return
	}
	claims := jwt.MapClaims{}
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(w.url+"/token"), jwt.WithIssuer("push@hunt.example"),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
	).ParseWithClaims(r.FormValue("assertion"), claims, func(t *jwt.Token) (any, error) {
		if t.Header["kid"] != "k1" {
			return nil, fmt.Errorf("the key's ID is %v", t.Header["kid"])
		}
		return &serviceKey().PublicKey, nil
	})
	if err != nil || claims["scope"] != "https://www.googleapis.com/auth/firebase.messaging" ||
		r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		w.t.Errorf("the exchange is wrong: %v, %v", err, claims)
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.issued = append(w.issued, fmt.Sprint("access-", len(w.issued)))
	rw.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(rw, `{"access_token": %q, "token_type": "Bearer", "expires_in": %d}`, w.issued[len(w.issued)-1], w.lifetime)
}

// send is FCM: it checks the bearer and the form of the message.
func (w *world) send(rw http.ResponseWriter, r *http.Request) {
	var m message
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(&m)
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	w.mu.Lock()
	known := slices.Contains(w.issued, bearer)
	w.messages = append(w.messages, m)
	w.mu.Unlock()
	if err != nil || !known || m.Message.Token == "" {
		w.t.Errorf("the message is wrong: %v, known bearer: %v, %+v", err, known, m)
	}
	w.answer(rw, r)
}

// failure answers as FCM does, with a sentence that holds the device's token.
func failure(code int, status, fcmCode string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.WriteHeader(code)
		details := ""
		if fcmCode != "" {
			details = fmt.Sprintf(`{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": %q}`, fcmCode)
		}
		fmt.Fprintf(w, `{"error": {"code": %d, "message": "not good: %s", "status": %q, "details": [%s]}}`, code, phoneToken, status, details)
	}
}
