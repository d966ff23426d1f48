package app

import (
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
		ch, err := fcm.New(fcm.Config{Credentials: cfg.FCM.Credentials.Reveal(), Timeout: cfg.FCM.Timeout}, devices)
		if err != nil {
			return nil, service.WithExitCode(err, service.ExitConfig)
		}
		all = append(all, ch)
	}
	if a := cfg.APNs; a.Enabled() {
		ch, err := apns.New(apns.Config{
			Key: a.Key.Reveal(), KeyID: a.KeyID, Team: a.TeamID, Topic: a.Topic, Environment: a.Environment, Timeout: a.Timeout,
		}, devices)
		if err != nil {
			return nil, service.WithExitCode(err, service.ExitConfig)
		}
		all = append(all, ch)
	}
	return all, nil
}
