package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/channel/webpush"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/preflight"
)

// configChecks are those that ask nobody: what they judge is the configuration,
// and the files that it names.
func (rt Runtime) configChecks() []preflight.Check {
	cfg := rt.Config
	return []preflight.Check{
		preflight.New("N01", func(context.Context) preflight.Finding {
			classes, err := classesOf(cfg)
			if err != nil {
				return preflight.NotSeen(err, "veltrix rules check "+cfg.Rules.File)
			}
			return pushLife(cfg.Notifier.Webpush.PrivateKey.Set(), classes, time.Now())
		}),
		preflight.New("N06", func(context.Context) preflight.Finding {
			classes, err := classesOf(cfg)
			if err != nil {
				return preflight.NotSeen(err, "veltrix rules check "+cfg.Rules.File)
			}
			return credentials(cfg, classes)
		}),
		preflight.New("S01", func(context.Context) preflight.Finding { return exposure(cfg) }),
	}
}

// classesOf returns the classes of the rules file, none where none is named.
func classesOf(cfg *config.Config) ([]*participant.Class, error) {
	if cfg.Rules.File == "" {
		return nil, nil
	}
	program, err := LoadRules(cfg)
	if err != nil {
		return nil, err
	}
	return program.Classes(), nil
}

// pushLife is N01: a push service drops a message with TTL 0 where the browser is
// away. The channel's own arithmetic is asked, in whole seconds as it is sent.
func pushLife(on bool, classes []*participant.Class, now time.Time) preflight.Finding {
	if !on {
		return preflight.Skipped("the webpush channel is off")
	}
	seen := []string{fmt.Sprintf("without an end: TTL %d s", webpush.TTL(&delivery.Notification{}, now))}
	var bad []string
	for _, c := range classes {
		if !slices.Contains(c.Channels, webpush.Name) {
			continue
		}
		end := now.Add(time.Duration(c.ExpiresMs) * time.Millisecond)
		ttl := webpush.TTL(&delivery.Notification{Expires: end}, now)
		text := fmt.Sprintf("class %s: TTL %d s", c.Name, ttl)
		seen = append(seen, text)
		if ttl < 1 {
			bad = append(bad, text)
		}
	}
	if webpush.TTL(&delivery.Notification{}, now) < 1 {
		bad = append(bad, seen[0])
	}
	if len(bad) > 0 {
		return preflight.Failed(strings.Join(bad, "; "), "a TTL of at least 1 s", "in the rules, expires of at least 1s for the class (a minute is not much)")
	}
	return preflight.Passed(strings.Join(seen, "; "))
}

// oldNewsCheck is N02.
func (rt Runtime) oldNewsCheck(kafka kafkalog.Config) preflight.Check {
	return preflight.New("N02", func(ctx context.Context) preflight.Finding {
		all, _, err := channels(rt.Config.Notifier, nil)
		if err != nil {
			return preflight.Skipped("a channel cannot be made: see N06")
		}
		lingers, err := kafkalog.Lingers(ctx, kafka, delivery.NotificationsTopic)
		switch {
		case errors.Is(err, kafkalog.ErrNoTopic):
			return preflight.Skipped("no topic of notifications yet: see K10")
		case err != nil:
			return preflight.NotSeen(err, "grant DescribeConfigs on "+kafka.Topic(delivery.NotificationsTopic))
		}
		return oldNews(schedules(all), rt.Config.Notifier.LedgerRetention, lingers)
	})
}

// schedule is how long a channel goes on trying one notification.
type schedule struct {
	channel string
	lasts   time.Duration
}

func schedules(all []delivery.Channel) []schedule {
	var out []schedule
	for _, ch := range all {
		s := schedule{channel: ch.Name(), lasts: ch.Timeout()}
		for attempt := 1; ; attempt++ {
			pause, again := ch.Retry(attempt)
			if !again {
				break
			}
			s.lasts += pause + ch.Timeout()
		}
		out = append(out, s)
	}
	return out
}

// oldNews holds what may still be sent against what the ledger remembers. A retry
// after the ledger forgot would be sent twice: that fails. Two more are warned of:
// retries that the deadline cuts off, and notifications that can be read when the
// ledger knows nothing of them any more, so that the deadline alone keeps a replay
// from pushing them.
func oldNews(all []schedule, ledger, lingers time.Duration) preflight.Finding {
	var bad, odd, seen []string
	for _, s := range all {
		text := fmt.Sprintf("%s goes on trying for %s", s.channel, s.lasts.Round(time.Second))
		switch {
		case s.lasts > ledger:
			bad = append(bad, text)
		case s.lasts > delivery.Life(ledger):
			odd = append(odd, text+", and its last tries are never made")
		default:
			seen = append(seen, text)
		}
	}
	text := "notifications stay on the brokers for " + spanned(lingers)
	if lingers > ledger {
		odd = append(odd, text)
	} else {
		seen = append(seen, text)
	}
	remembered := "notifier.ledger_retention=" + spanned(ledger)
	expected := "retries, and the topic's retention.ms with segment.ms, within notifier.ledger_retention"
	const fix = "lengthen notifier.ledger_retention, or shorten retention.ms of the notifications topic (veltrix topics apply never does)"
	switch {
	case len(bad) > 0:
		return preflight.Failed(remembered+"; "+strings.Join(append(bad, odd...), "; "), expected, fix)
	case len(odd) > 0:
		return preflight.Finding{
			State: preflight.Warn, Observed: remembered + "; " + strings.Join(odd, "; "), Expected: expected, Fix: fix,
			Players: "nothing while the deadline holds: it alone keeps a replay from pushing old news",
		}
	}
	return preflight.Passed(remembered + "; " + strings.Join(seen, "; "))
}

// spanned writes a duration in hours, or says that it has no end.
func spanned(d time.Duration) string {
	if d == kafkalog.Forever {
		return "ever"
	}
	return fmt.Sprintf("%gh", d.Hours())
}

// credentials is N06: each channel is made as the notifier makes it, by itself, so
// that one mistake does not hide another.
func credentials(cfg *config.Config, classes []*participant.Class) preflight.Finding {
	n := cfg.Notifier
	fcm, apns := n, n
	fcm.APNs, apns.FCM = config.APNs{}, config.FCM{}
	var on, bad []string
	try := func(name string, set bool, err error) {
		switch {
		case err != nil:
			bad = append(bad, name+": "+err.Error())
		case set:
			on = append(on, name)
		}
	}
	if n.Webhook.URL != "" {
		_, err := newWebhook(n.Webhook)
		try("webhook", true, err)
	}
	if n.Webpush.PrivateKey.Set() {
		_, err := newWebpush(n.Webpush, nil)
		try(webpush.Name, true, err)
	}
	_, err := mobileChannels(fcm, nil)
	try("fcm", n.FCM.Credentials.Set(), err)
	_, err = mobileChannels(apns, nil)
	try("apns", n.APNs.Enabled(), err)
	var off []string
	for _, c := range classes {
		for _, name := range c.Channels {
			broken := slices.ContainsFunc(bad, func(text string) bool { return strings.HasPrefix(text, name+":") })
			if name != delivery.InboxChannel && !slices.Contains(on, name) && !broken {
				off = append(off, fmt.Sprintf("class %s asks for %s, which is off", c.Name, name))
			}
		}
	}
	return judged(cfg.Profile, bad, off, on)
}

func judged(profile string, bad, off, on []string) preflight.Finding {
	const expected = "every channel that is set up, or that the rules ask for, can be made"
	observed := "on: " + strings.Join(append(on, delivery.InboxChannel), ", ")
	switch {
	case len(bad) > 0:
		return preflight.Failed(strings.Join(append(bad, off...), "; "), expected, "docs/channels says for each channel what it needs; veltrix keys vapid makes a key for browsers")
	case len(off) > 0 && profile == "prod":
		return preflight.Failed(strings.Join(off, "; "), expected, "set the channel up, or take it out of the class in the rules")
	case len(off) > 0:
		return preflight.Finding{State: preflight.Pass, Observed: observed, Production: strings.Join(off, "; ") + ": set it up, or take it out of the class"}
	default:
		return preflight.Passed(observed)
	}
}
