package app

import (
	"net/netip"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/channel/apns"
	"github.com/veltrix/veltrix/internal/channel/fcm"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/service"
)

// mobileChannels returns the channels to phones that are configured. An error
// is about the configuration, and has its exit code.
func mobileChannels(cfg config.Notifier, devices delivery.Devices) ([]delivery.Channel, error) {
	var all []delivery.Channel
	if cfg.FCM.Credentials.Set() {
		ch, err := fcm.New(fcm.Config{
			Credentials: cfg.FCM.Credentials.Reveal(), Timeout: cfg.FCM.Timeout,
			URL: cfg.FCM.URL, Allow: relay(cfg.FCM.URL, config.Default().Notifier.FCM.URL),
		}, devices)
		if err != nil {
			return nil, service.WithExitCode(err, service.ExitConfig)
		}
		all = append(all, ch)
	}
	if a := cfg.APNs; a.Enabled() {
		ch, err := apns.New(apns.Config{
			Key: a.Key.Reveal(), KeyID: a.KeyID, Team: a.TeamID, Topic: a.Topic, Environment: a.Environment, Timeout: a.Timeout,
			URL: a.URL, Allow: relay(a.URL, ""),
		}, devices)
		if err != nil {
			return nil, service.WithExitCode(err, service.ExitConfig)
		}
		all = append(all, ch)
	}
	return all, nil
}

// relay says what a channel may reach besides public addresses: everything where
// its operator named another address than the provider's own, because a relay is
// where he says it is. No player has a say in it, as one has in Web Push.
func relay(url, own string) []netip.Prefix {
	if url == "" || url == own {
		return nil
	}
	return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
}
