package channeltest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/veltrix/veltrix/internal/delivery"
)

// PushService is a Web Push service with the browsers that it serves. It checks
// each message as a service and its browser would, and shares no code with what
// makes messages: RFC 8030, 8291, 8292.
type PushService struct {
	URL    string // https
	Roots  *x509.CertPool
	public string // of the application server, in base64url

	mu       sync.Mutex
	browsers map[string]*browser // by path
	messages []Message
}

// Message is a push as the browser's service worker sees it, with its headers.
type Message struct {
	Header http.Header
	Data   []byte // decrypted
	Size   int    // of the encrypted body, in bytes
}

type browser struct {
	key  *ecdh.PrivateKey
	auth []byte
}

// NewPushService serves subscriptions that are bound to an application server's
// public key (base64url), over HTTP/2 or HTTP/1.1, until the test's end. Answer
// runs for each message that is right; others fail the test and get 400.
func NewPushService(t testing.TB, public string, http2 bool, answer http.HandlerFunc) *PushService {
	t.Helper()
	s := &PushService{public: public, browsers: map[string]*browser{}}
	srv, roots := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // its sender was killed before it had said everything
		}
		m, err := s.read(r, body)
		var said Push
		if err == nil {
			said, err = m.push(r)
		}
		if err != nil {
			t.Errorf("a message is not right: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.messages = append(s.messages, m)
		s.mu.Unlock()
		answer(w, tell(r, said))
	}), http2)
	s.URL, s.Roots = srv.URL, roots
	return s
}

// push is what a message says, as its page's service worker reads it.
func (m *Message) push(r *http.Request) (Push, error) {
	var said struct {
		Notification, Op, Title string
		Revision                int
		InboxOffset             int64 `json:"inbox_offset"`
	}
	err := json.Unmarshal(m.Data, &said)
	return Push{
		Channel: "webpush", Notification: said.Notification, Revision: said.Revision, Op: said.Op, Title: said.Title,
		InboxOffset: said.InboxOffset, Device: r.URL.Path,
	}, err
}

// Subscribe makes a browser's subscription, as a device of that ID.
func (s *PushService) Subscribe(id string) delivery.Device {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	b := &browser{key, make([]byte, 16)}
	_, _ = rand.Read(b.auth) // never fails
	path := "/push/" + rand.Text()
	s.mu.Lock()
	s.browsers[path] = b
	s.mu.Unlock()
	return delivery.Device{
		ID: id, Channel: "webpush", Token: s.URL + path, Registered: time.Now(),
		P256dh: base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes()), Auth: base64.RawURLEncoding.EncodeToString(b.auth),
	}
}

// Messages returns what arrived and was right, in its order.
func (s *PushService) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// read checks a request and decrypts its message.
func (s *PushService) read(r *http.Request, body []byte) (Message, error) {
	s.mu.Lock()
	b := s.browsers[r.URL.Path]
	s.mu.Unlock()
	if b == nil || r.Method != http.MethodPost {
		return Message{}, fmt.Errorf("%s to what nobody subscribed", r.Method)
	}
	if err := checkHeaders(r.Header); err != nil {
		return Message{}, err
	}
	if err := checkVAPID(r.Header.Get("Authorization"), s.public, s.URL, time.Now()); err != nil {
		return Message{}, fmt.Errorf("authorization: %w", err)
	}
	data, err := b.decrypt(body)
	return Message{r.Header.Clone(), data, len(body)}, err
}

// checkHeaders holds a message's headers against RFC 8030 and RFC 8188.
func checkHeaders(h http.Header) error {
	if got := h.Get("Content-Encoding"); got != "aes128gcm" {
		return fmt.Errorf("the content encoding is %q", got)
	}
	if ttl, err := strconv.Atoi(h.Get("TTL")); err != nil || ttl < 0 || ttl > 28*24*3600 {
		return fmt.Errorf("the TTL is %q", h.Get("TTL"))
	}
	if !slices.Contains([]string{"very-low", "low", "normal", "high"}, h.Get("Urgency")) {
		return fmt.Errorf("the urgency is %q", h.Get("Urgency"))
	}
	topic := h.Get("Topic")
	if _, err := base64.RawURLEncoding.DecodeString(topic); err != nil || len(topic) == 0 || len(topic) > 32 {
		return fmt.Errorf("the topic %q is not 1 to 32 characters of base64url", topic)
	}
	return nil
}

// checkVAPID checks the signature and the claims of "vapid t=…, k=…".
func checkVAPID(authorization, public, origin string, now time.Time) error {
	params, ok := strings.CutPrefix(authorization, "vapid ")
	token, key, both := strings.Cut(params, ", k=")
	token, has := strings.CutPrefix(token, "t=")
	if !ok || !both || !has {
		return errors.New("it is not vapid t=…, k=…")
	}
	if key != public {
		return errors.New("the key is another than the subscription's")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("the token has not three parts")
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			return err
		}
	}
	var header struct{ Alg string }
	var claims struct {
		Aud, Sub string
		Exp      int64
	}
	if err := errors.Join(json.Unmarshal(raw[0], &header), json.Unmarshal(raw[1], &claims)); err != nil {
		return err
	}
	point, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil {
		return err
	}
	if err := verifyES256(point, parts[0]+"."+parts[1], raw[2]); err != nil {
		return err
	}
	left := time.Unix(claims.Exp, 0).Sub(now)
	switch {
	case header.Alg != "ES256":
		return fmt.Errorf("the algorithm is %q", header.Alg)
	case claims.Aud != origin:
		return fmt.Errorf("the audience %q is not the service's origin", claims.Aud)
	case left <= 0 || left > 24*time.Hour:
		return fmt.Errorf("the token is valid for %v, more than a day or no more", left)
	case !strings.HasPrefix(claims.Sub, "mailto:") && !strings.HasPrefix(claims.Sub, "https://"),
		strings.HasPrefix(claims.Sub, "mailto:mailto:"):
		return fmt.Errorf("the subject is %q", claims.Sub)
	}
	return nil
}

func verifyES256(point []byte, signed string, signature []byte) error {
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(signed))
	if len(signature) != 64 || !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return errors.New("the signature is not the key's")
	}
	return nil
}

// decrypt reads one record of aes128gcm, as RFC 8291 has a browser do it.
func (b *browser) decrypt(body []byte) ([]byte, error) {
	const head = 16 + 4 + 1
	if len(body) < head+65 || len(body) > 4096 || body[20] != 65 {
		return nil, fmt.Errorf("a body of %d bytes", len(body))
	}
	salt, size, sender, sealed := body[:16], binary.BigEndian.Uint32(body[16:20]), body[head:head+65], body[head+65:]
	if uint32(len(sealed)) > size {
		return nil, errors.New("more than one record")
	}
	from, err := ecdh.P256().NewPublicKey(sender)
	if err != nil {
		return nil, err
	}
	shared, err := b.key.ECDH(from)
	if err != nil {
		return nil, err
	}
	derive := func(secret, salt []byte, info string, length int) []byte {
		key, err := hkdf.Key(sha256.New, secret, salt, info, length)
		if err != nil {
			panic(err) // only for lengths that are not asked for here
		}
		return key
	}
	ikm := derive(shared, b.auth, "WebPush: info\x00"+string(b.key.PublicKey().Bytes())+string(sender), 32)
	block, err := aes.NewCipher(derive(ikm, salt, "Content-Encoding: aes128gcm\x00", 16))
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	padded, err := gcm.Open(nil, derive(ikm, salt, "Content-Encoding: nonce\x00", 12), sealed, nil)
	if err != nil {
		return nil, err
	}
	data, last := bytes.CutSuffix(bytes.TrimRight(padded, "\x00"), []byte{2})
	if !last {
		return nil, errors.New("the record is not marked as the last")
	}
	return data, nil
}
