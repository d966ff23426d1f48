package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/config"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/inboxapi"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/telemetry"
)

// Notifier delivers a deployment's notifications and serves the inboxes.
type Notifier struct {
	rt       Runtime
	door     service.Doorway
	health   *health
	listener net.Listener
	rights   *rights

	client     redis.UniversalClient
	receipts   *kafkalog.Receipts
	dispatcher atomic.Pointer[delivery.Dispatcher]
}

// NewNotifier prepares a notifier that serves inboxes on listener; nothing is
// contacted before Run.
func NewNotifier(rt Runtime, listener net.Listener) *Notifier {
	return &Notifier{rt: rt, listener: listener, health: newHealth(2 * rt.Config.Notifier.SessionTimeout), rights: newRights(rt)}
}

// Name implements service.Service.
func (n *Notifier) Name() string { return "notifier" }

// Run connects, delivers and serves until ctx ends; then it lets running
// attempts end, commits, and leaves the group.
func (n *Notifier) Run(ctx context.Context) error {
	defer n.close()
	listener, err := n.rt.secured("inbox", "notifier.tls", n.listener, n.rt.Config.Notifier.TLS)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	return service.Run(ctx, n.rt.Config.StopTimeout,
		service.HTTP("inbox", listener, n.rt.Metrics.Observe("inbox", &n.door), n.rt.Config.StopTimeout/2),
		service.Func(n.Name(), n.work))
}

// work connects, opens the inboxes and delivers.
func (n *Notifier) work(ctx context.Context) error {
	cfg := n.rt.Config.Notifier
	kafka, err := n.rt.Kafka("notifier")
	if err != nil {
		return err
	}
	if _, err := n.rt.awaitManifest(ctx, kafka); err != nil {
		return err
	}
	if n.client, err = n.rt.awaitRedis(ctx); err != nil {
		return err
	}
	checked, err := n.rt.gate(ctx, n.Name(), kafka, n.client)
	if err != nil {
		return err
	}
	devices := n.rt.devices(n.client)
	channels, pushKey, err := channels(cfg, devices)
	if err != nil {
		return err
	}
	secret, issuer, err := n.signs(ctx)
	if err != nil {
		return err
	}
	inbox := redisstore.NewInbox(n.client, n.rt.Config.Prefix, cfg.InboxMax, cfg.InboxRetention)
	streams := n.rt.Metrics.Notifier.Streams
	gate := redisstore.NewGate(n.client, n.rt.Config.Prefix)
	api, err := inboxapi.New(inboxapi.Options{
		Inbox: inbox, Devices: devices, DeviceChannels: names(channels), Preferences: gate, Presence: gate,
		Secret: secret, Issuer: issuer, Refresh: n.secret(secret), Logger: n.rt.Log,
		Streams: func(delta int) { streams.Add(float64(delta)) }, Resyncs: n.rt.Metrics.Notifier.Resyncs.Inc,
		PushKey: pushKey,
	})
	if err != nil {
		return err
	}
	if n.receipts, err = kafkalog.NewReceipts(kafka); err != nil {
		return err
	}
	d := delivery.New(delivery.Ports{
		Ledger: redisstore.NewLedger(n.client, n.rt.Config.Prefix, cfg.LedgerRetention), Inbox: inbox,
		Receipts: n.receipts, Channels: channels, Gate: gate, Metrics: deliveryMetrics{n.rt.Metrics.Notifier},
	}, n.options())
	n.dispatcher.Store(d)
	n.door.Open(api)
	n.rt.Log.Info("serving inboxes", "address", n.listener.Addr().String())
	return service.Run(ctx, n.rt.Config.StopTimeout, append(n.beside(checked, kafka, inbox, secret, api),
		service.Func("delivery", func(ctx context.Context) error {
			err := d.Run(ctx, func(h delivery.Holder) (delivery.Source, error) {
				return kafkalog.NewNotifications(kafkalog.NotificationsConfig{
					Config: kafka, SessionTimeout: cfg.SessionTimeout,
					RebalanceTimeout: n.drain() + 20*time.Second, Retries: delivery.RetryTopics(),
				}, h)
			})
			return kafka.Denied(context.WithoutCancel(ctx), err)
		}))...)
}

// beside is what goes on beside the delivery.
func (n *Notifier) beside(gate *gate, kafka kafkalog.Config, inbox *redisstore.Inbox, secret []byte, api *inboxapi.API) []service.Service {
	until := func(name string, run func(context.Context)) service.Service {
		return service.Func(name, func(ctx context.Context) error {
			run(ctx)
			return nil
		})
	}
	return []service.Service{
		until("wake-ups", inbox.Listen),
		service.Func("gauges", n.gauges),
		until("checks", gate.keep),
		until("rights", func(ctx context.Context) { n.rights.keep(ctx, kafka) }),
		until("pulse", func(ctx context.Context) { n.pulse(ctx, n.secret(secret)) }),
		until("streams", func(ctx context.Context) {
			<-ctx.Done()
			api.Close()
		}),
	}
}

// options are the dispatcher's.
func (n *Notifier) options() delivery.Options {
	cfg := n.rt.Config.Notifier
	return delivery.Options{
		Lanes: cfg.Lanes, Retention: cfg.LedgerRetention, DrainTimeout: n.drain(), Logger: n.rt.Log,
		Follow: func() delivery.Pacing { return pacing(&n.rt.current().Notifier) },
	}
}

func pacing(cfg *config.Notifier) delivery.Pacing {
	wait := cfg.PresenceWait
	if wait == 0 {
		wait = -1 // a dispatcher's zero is its default
	}
	return delivery.Pacing{
		PresenceWait: wait, PushesMax: cfg.PushesMax, PushesWindow: cfg.PushesWindow,
		DigestTitle: cfg.DigestTitle, DigestBody: cfg.DigestBody,
	}
}

// drain is how long running attempts may take when a partition goes: less than
// the whole stop, which has to commit after it.
func (n *Notifier) drain() time.Duration { return min(10*time.Second, n.rt.Config.StopTimeout/2) }

// signs says by what players' tokens are signed: a secret, or an issuer's keys.
func (n *Notifier) signs(ctx context.Context) ([]byte, *inboxapi.Issuer, error) {
	cfg := n.rt.Config.Notifier
	if cfg.JWKSURL != "" {
		return nil, &inboxapi.Issuer{URL: cfg.JWKSURL, Audience: cfg.TokenAudience, Logger: n.rt.Log}, nil
	}
	secret, err := NotifierSecret(ctx, n.rt, n.client)
	return secret, nil, err
}

// names returns the channels' names.
func names(channels []delivery.Channel) []string {
	out := make([]string, 0, len(channels))
	for _, ch := range channels {
		out = append(out, ch.Name())
	}
	return out
}

// NotifierSecret returns what signs the players' tokens: the configured secret,
// or the one that the deployment shares in Redis.
func NotifierSecret(ctx context.Context, rt Runtime, client redis.UniversalClient) ([]byte, error) {
	if s := rt.Config.Notifier.TokenSecret.Reveal(); s != "" {
		return []byte(s), nil
	}
	return redisstore.TokenSecret(ctx, client, rt.Config.Prefix)
}

// secret returns how the tokens' secret is looked up again; nil where it is
// configured, and so never changes. A Redis that lost it gets ours back, so that
// tokens stay what they are, unless somebody made another one in the meantime.
func (n *Notifier) secret(mine []byte) func(context.Context) ([]byte, error) {
	if cfg := n.rt.Config.Notifier; cfg.JWKSURL != "" || cfg.TokenSecret.Reveal() != "" {
		return nil
	}
	return func(ctx context.Context) ([]byte, error) {
		return redisstore.KeepTokenSecret(ctx, n.client, n.rt.Config.Prefix, mine)
	}
}

// pulse asks the brokers for an answer now and then, and gives a Redis that was
// emptied its token secret back.
func (n *Notifier) pulse(ctx context.Context, secret func(context.Context) ([]byte, error)) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, lagEvery)
		if n.receipts.Ping(asking) == nil {
			n.health.brokers(time.Now())
		}
		if secret != nil {
			_, _ = secret(asking) // where Redis is away, delivery says so
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// gauges keeps the gauges near the truth.
func (n *Notifier) gauges(ctx context.Context) error {
	ticker := time.NewTicker(2 * time.Second)
	defer ticker.Stop()
	m := n.rt.Metrics.Notifier
	for {
		s := n.dispatcher.Load().Status()
		m.Inflight.Set(float64(s.Pending))
		m.Lanes.Set(float64(s.Lanes))
		m.Held.Set(float64(s.Held))
		m.LagRecords.Reset()
		for partition, lag := range s.Lags {
			m.LagRecords.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(lag))
		}
		for channel, open := range s.Open {
			m.BreakersOpen.WithLabelValues(channel).Set(float64(open))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Status reports how far delivery is; false before it began.
func (n *Notifier) Status() (delivery.Status, bool) {
	d := n.dispatcher.Load()
	if d == nil {
		return delivery.Status{}, false
	}
	return d.Status(), true
}

// Checks are the notifier's readiness.
func (n *Notifier) Checks() []telemetry.Check {
	return []telemetry.Check{{Name: "notifier", Run: func(context.Context) error { return n.Ready() }}}
}

// Ready reports why the notifier does not make progress, or nil. A process
// that holds no partition is ready: its group has others who do.
func (n *Notifier) Ready() error {
	s, ok := n.Status()
	switch {
	case !ok:
		return errors.New("starting")
	case n.rights.err() != nil:
		return n.rights.err()
	case len(s.Waiting) > 0:
		return fmt.Errorf("waiting for %s; nothing is sent meanwhile", strings.Join(s.Waiting, ", "))
	case s.Lag > 0 && s.Idle > n.health.bound:
		return fmt.Errorf("%d notifications wait, and none was finished for %s", s.Lag, s.Idle.Round(time.Second))
	}
	return n.health.reach(time.Now())
}

func (n *Notifier) close() {
	if n.receipts != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := n.receipts.Close(ctx); err != nil {
			n.rt.Log.Warn("some receipts were not written; they come again at the next start", "error", err)
		}
	}
	if n.client != nil {
		_ = n.client.Close()
	}
	if n.listener != nil {
		_ = n.listener.Close()
	}
}

// deliveryMetrics tells telemetry's names for what delivery counts.
type deliveryMetrics struct{ m telemetry.NotifierMetrics }

func (d deliveryMetrics) Consumed(op delivery.Op) { d.m.Consumed.WithLabelValues(string(op)).Inc() }

func (d deliveryMetrics) Outcome(channel string, outcome delivery.Outcome, cause string) {
	switch outcome {
	case delivery.OutAccepted, delivery.OutSent:
		d.m.Delivered.WithLabelValues(channel).Inc()
	case delivery.OutDeduped:
		d.m.Deduped.WithLabelValues(channel).Inc()
	case delivery.OutRetried:
		d.m.Retried.WithLabelValues(channel).Inc()
	case delivery.OutExpired:
		d.m.Expired.WithLabelValues(channel).Inc()
	case delivery.OutRetracted:
		d.m.Retracted.WithLabelValues(channel).Inc()
	case delivery.OutPruned:
		d.m.Pruned.WithLabelValues(channel).Inc()
	case delivery.OutDead:
		d.m.Dead.WithLabelValues(channel, cause).Inc()
	case delivery.OutSeen, delivery.OutMuted, delivery.OutDeferred, delivery.OutDigested:
		d.m.Withheld.WithLabelValues(channel, string(outcome)).Inc()
	case delivery.OutAmbiguous: // counted with its policy
	}
}

func (d deliveryMetrics) Ambiguous(channel string, policy delivery.Policy) {
	d.m.Ambiguous.WithLabelValues(channel, string(policy)).Inc()
}

func (d deliveryMetrics) Attempt(channel string, took time.Duration) {
	d.m.SendSeconds.WithLabelValues(channel).Observe(took.Seconds())
}

func (d deliveryMetrics) Age(channel string, age time.Duration) {
	d.m.EndToEnd.WithLabelValues(channel).Observe(age.Seconds())
}

func (d deliveryMetrics) Alarm(channel string) { d.m.Alarms.WithLabelValues(channel).Inc() }

func (d deliveryMetrics) Stalled(store string) { d.m.Stalled.WithLabelValues(store).Inc() }
