package channeltest

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func raw(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDecrypt reads the example of RFC 8291, section 5.
func TestDecrypt(t *testing.T) {
	t.Parallel()
	key, err := ecdh.P256().NewPrivateKey(raw(t, "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
	if err != nil {
		t.Fatal(err)
	}
	b := browser{key, raw(t, "BTBZMqHH6r4Tts7J_aSIgg")}
	body := raw(t, "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN")
	data, err := b.decrypt(body)
	if err != nil || string(data) != "When I grow up, I want to be a watermelon" {
		t.Errorf("got %q, %v", data, err)
	}
	body[len(body)-1] ^= 1
	if data, err := b.decrypt(body); err == nil {
		t.Errorf("a changed body is read as %q", data)
	}
}

// TestVAPIDIsChecked shows that the fake service would notice a wrong token.
func TestVAPIDIsChecked(t *testing.T) {
	t.Parallel()
	const origin = "https://push.example"
	now := time.Now()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public := base64.RawURLEncoding.EncodeToString(point)
	sign := func(aud, sub string, life time.Duration) string {
		token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"aud": aud, "sub": sub, "exp": now.Add(life).Unix()}).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good := sign(origin, "mailto:ops@example.com", time.Hour)
	other := base64.RawURLEncoding.EncodeToString(append([]byte{4}, make([]byte, 64)...))
	for name, x := range map[string]struct {
		authorization string
		right         bool
	}{
		"right":             {"vapid t=" + good + ", k=" + public, true},
		"none":              {"", false},
		"another scheme":    {"Bearer " + good, false},
		"another key":       {"vapid t=" + good + ", k=" + other, false},
		"a changed token":   {"vapid t=" + good[:len(good)-4] + "AAAA, k=" + public, false},
		"another audience":  {"vapid t=" + sign("https://other.example", "mailto:a@b.c", time.Hour) + ", k=" + public, false},
		"over":              {"vapid t=" + sign(origin, "mailto:a@b.c", -time.Hour) + ", k=" + public, false},
		"for too long":      {"vapid t=" + sign(origin, "mailto:a@b.c", 25*time.Hour) + ", k=" + public, false},
		"no subject":        {"vapid t=" + sign(origin, "", time.Hour) + ", k=" + public, false},
		"twice the prefix":  {"vapid t=" + sign(origin, "mailto:mailto:a@b.c", time.Hour) + ", k=" + public, false},
		"nothing in a part": {"vapid t=.., k=" + public, false},
	} {
		if err := checkVAPID(x.authorization, public, origin, now); (err == nil) != x.right {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHeadersAreChecked(t *testing.T) {
	t.Parallel()
	good := http.Header{"Content-Encoding": {"aes128gcm"}, "Ttl": {"60"}, "Urgency": {"normal"}, "Topic": {"abc_"}}
	if err := checkHeaders(good); err != nil {
		t.Error(err)
	}
	for name, wrong := range map[string]string{
		"Content-Encoding": "aesgcm", "Ttl": "-1", "Urgency": "urgent", "Topic": "a topic of more than 32 characters, and with blanks",
	} {
		h := good.Clone()
		h.Set(name, wrong)
		if checkHeaders(h) == nil {
			t.Errorf("%s %q is let through", name, wrong)
		}
	}
}
