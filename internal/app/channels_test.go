package app

import (
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
	for name, x := range map[string]struct {
		set  []map[string]string
		want []string
		key  string
	}{
		"none":    {nil, nil, ""},
		"webhook": {[]map[string]string{hook}, []string{"webhook"}, ""},
		"webpush": {[]map[string]string{push}, []string{"webpush"}, public},
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
