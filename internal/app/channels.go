package app

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/channel/webhook"
	"github.com/veltrix/veltrix/internal/channel/webpush"
	"github.com/veltrix/veltrix/internal/delivery"
)

// channels returns the channels that are configured, and what pages subscribe
// to Web Push with: empty where that is off.
func channels(cfg config.Notifier, devices delivery.Devices) (all []delivery.Channel, pushKey string, err error) {
	if cfg.Webhook.URL != "" {
		ch, err := newWebhook(cfg.Webhook)
		if err != nil {
			return nil, "", err
		}
		all = append(all, ch)
	}
	if cfg.Webpush.PrivateKey.Set() {
		ch, err := newWebpush(cfg.Webpush, devices)
		if err != nil {
			return nil, "", err
		}
		all, pushKey = append(all, ch), ch.PublicKey()
	}
	phones, err := mobileChannels(cfg, devices)
	return append(all, phones...), pushKey, err
}

func newWebhook(cfg config.Webhook) (*webhook.Channel, error) {
	allow, err := prefixes("notifier.webhook.allow", cfg.Allow)
	if err != nil {
		return nil, err
	}
	return webhook.New(webhook.Config{
		URL: cfg.URL, Secrets: strings.Fields(cfg.Secret.Reveal()), Timeout: cfg.Timeout, Allow: allow,
	})
}

func newWebpush(cfg config.Webpush, devices delivery.Devices) (*webpush.Channel, error) {
	allow, err := prefixes(webpush.AllowKey, cfg.Allow)
	if err != nil {
		return nil, err
	}
	return webpush.New(webpush.Config{
		Subject: cfg.Subject, PrivateKey: cfg.PrivateKey.Reveal(), Timeout: cfg.Timeout, Allow: allow,
	}, devices)
}

// prefixes reads networks in CIDR form.
func prefixes(key string, texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		all = append(all, p)
	}
	return all, nil
}
