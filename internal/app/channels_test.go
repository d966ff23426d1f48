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
	"github.com/veltrix/veltrix/internal/channel/channeltest"
	"github.com/veltrix/veltrix/internal/channel/webpush"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/delivery/deliverytest"
)

// TestChannels checks what is switched on by which setting.
func TestChannels(t *testing.T) {
	private, public, err := webpush.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	hook := map[string]string{"WEBHOOK_URL": "https://example.com/", "WEBHOOK_SECRET": "c2VjcmV0"}
	push := map[string]string{"WEBPUSH_SUBJECT": "ops@example.com", "WEBPUSH_PRIVATE_KEY": private, "WEBPUSH_ALLOW": "127.0.0.0/8"}
	apple, google := phones(t, "https://oauth2.googleapis.com/token")
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

// phones are the settings of both channels to phones.
func phones(t *testing.T, tokenURI string) (apple, google map[string]string) {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "hunt", "private_key_id": "1", "private_key": pemOf(t, rsaKey),
		"client_email": "notifier@hunt.example", "token_uri": tokenURI,
	})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"APNS_KEY": pemOf(t, ec), "APNS_KEY_ID": "ABCDE12345", "APNS_TEAM_ID": "TEAM123456", "APNS_TOPIC": "com.example.hunt"},
		map[string]string{"FCM_CREDENTIALS": string(account)}
}

// TestRelay checks where the channels to phones go: to a private address only
// where the operator named one. Nobody listens there; who is asked is told by
// how the attempt ends.
func TestRelay(t *testing.T) {
	private := "https://" + channeltest.Nobody(t)
	apple, google := phones(t, private+"/token")
	for key, value := range google {
		t.Setenv("VELTRIX_NOTIFIER_"+key, value)
	}
	devices := deliverytest.NewDevices()
	for channel, token := range map[string]string{"fcm": "a-phone-of-alice", "apns": "0a1b"} {
		if err := devices.Put(t.Context(), "alice", delivery.Device{ID: channel, Channel: channel, Token: token}); err != nil {
			t.Fatal(err)
		}
	}
	attempts := func() map[string]delivery.Result {
		cfg, err := config.Load(nil)
		if err != nil {
			t.Fatal(err)
		}
		all, err := mobileChannels(cfg.Notifier, devices)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]delivery.Result{}
		for _, ch := range all {
			got[ch.Name()] = channeltest.Attempt(t, channeltest.Subject{Channel: ch, Target: ch.Name()}, deliverytest.Note("alice", 1))
		}
		return got
	}
	// Without an address of its own, the key's token_uri must not lead inside.
	if res := attempts()["fcm"]; res.Verdict != delivery.Failed || !res.Alarm || res.Unreachable {
		t.Errorf("a private token_uri without a relay: %+v", res)
	}
	for key, value := range apple {
		t.Setenv("VELTRIX_NOTIFIER_"+key, value)
	}
	t.Setenv("VELTRIX_NOTIFIER_FCM_URL", private)
	t.Setenv("VELTRIX_NOTIFIER_APNS_URL", private)
	got := attempts()
	if len(got) != 2 {
		t.Errorf("%d channels, want 2", len(got))
	}
	for name, res := range got {
		if res.Verdict != delivery.Failed || !res.Unreachable {
			t.Errorf("%s to a relay that is down: %+v", name, res)
		}
	}
}
