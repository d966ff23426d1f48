package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"
	"testing"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/channel/webpush"
)

// TestChannels checks what is switched on by which setting.
func TestChannels(t *testing.T) {
	private, public, err := webpush.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	hook := map[string]string{"WEBHOOK_URL": "https://example.com/", "WEBHOOK_SECRET": "c2VjcmV0"}
	push := map[string]string{"WEBPUSH_SUBJECT": "ops@example.com", "WEBPUSH_PRIVATE_KEY": private, "WEBPUSH_ALLOW": "127.0.0.0/8"}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	apple := map[string]string{"APNS_KEY": pemOf(t, ec), "APNS_KEY_ID": "ABCDE12345", "APNS_TEAM_ID": "TEAM123456", "APNS_TOPIC": "com.example.hunt"}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "hunt", "private_key_id": "1", "private_key": pemOf(t, rsaKey),
		"client_email": "notifier@hunt.example", "token_uri": "https://oauth2.googleapis.com/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	google := map[string]string{"FCM_CREDENTIALS": string(account)}
	for name, x := range map[string]struct {
		set  []map[string]string
		want []string
		key  string
	}{
		"none":    {nil, nil, ""},
		"webhook": {[]map[string]string{hook}, []string{"webhook"}, ""},
		"webpush": {[]map[string]string{push}, []string{"webpush"}, public},
		"phones":  {[]map[string]string{google, apple}, []string{"fcm", "apns"}, ""},
		"both":    {[]map[string]string{hook, push}, []string{"webhook", "webpush"}, public},
	} {
		t.Run(name, func(t *testing.T) {
			for _, some := range x.set {
				for key, value := range some {
					t.Setenv("VELTRIX_NOTIFIER_"+key, value)
				}
			}
			cfg, err := config.Load(nil)
			if err != nil {
				t.Fatal(err)
			}
			all, key, err := channels(cfg.Notifier, nil)
			if err != nil || key != x.key {
				t.Errorf("pages get the key %q, %v; want %q", key, err, x.key)
			}
			var got []string
			for _, ch := range all {
				got = append(got, ch.Name())
			}
			if !slices.Equal(got, x.want) {
				t.Errorf("the channels are %q, want %q", got, x.want)
			}
		})
	}
	if _, err := prefixes("some.key", []string{"nonsense"}); err == nil {
		t.Error("a network that is none is taken")
	}
}

// pemOf is a private key as Apple and Google hand it out.
func pemOf(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
