package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/channel/apns"
	"github.com/veltrix/veltrix/internal/channel/fcm"
	"github.com/veltrix/veltrix/internal/delivery"
	"github.com/veltrix/veltrix/internal/inboxapi"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/probe"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/service"
	"github.com/veltrix/veltrix/internal/wire"
)

// unprobed refuses to look for what only --probe finds, where nothing else was asked
// for: that all is well would be no answer to it.
func unprobed(only []string) error {
	var names []string
	for _, name := range only {
		e, ok := preflight.Find(name)
		if !ok || !e.Probe {
			return nil
		}
		names = append(names, e.ID)
	}
	if len(names) == 0 {
		return nil
	}
	list := strings.Join(names, ",")
	return service.WithExitCode(fmt.Errorf("%s: only --probe looks for it, as in veltrix doctor --probe --only %s; see veltrix doctor explain %s", list, list, names[0]), service.ExitConfig)
}

// probes are the checks that speak to the public URLs and to the providers, and so
// leave traces; they run when they are asked for.
func (rt Runtime) probes(kafka kafkalog.Config, client redis.UniversalClient) []preflight.Check {
	d := rt.Config.Doctor
	run := newRun()
	inbox := probe.Inbox{URL: d.InboxURL, Heartbeat: inboxapi.Heartbeat, Token: func(ctx context.Context, who string) (string, error) {
		return rt.probeToken(ctx, client, who)
	}}
	ofInbox := func(id string, look func(context.Context) preflight.Finding) preflight.Check {
		return preflight.New(id, func(ctx context.Context) preflight.Finding {
			switch {
			case d.InboxURL == "":
				return preflight.Skipped("doctor.inbox_url does not say where players reach the inbox")
			case rt.Config.Notifier.JWKSURL != "":
				return preflight.Skipped("players' tokens are signed by whoever publishes the keys at notifier.jwks_url, and the doctor can make none")
			}
			return look(ctx)
		})
	}
	order := preflight.New("P03", func(ctx context.Context) preflight.Finding {
		if d.GatewayURL == "" {
			return preflight.Skipped("doctor.gateway_url does not say where senders reach the gateway")
		}
		reader, err := kafkalog.NewReader(kafka)
		if err != nil {
			return preflight.NotSeen(err, "see kafka.brokers")
		}
		defer reader.Close()
		return probe.Order{URL: d.GatewayURL, Key: d.GatewayKey.Reveal(), Run: run, Log: &eventsLog{reader, kafka.Topic("events")}}.Check(ctx)
	})
	return append(preflight.Needing(needsKafka, order),
		ofInbox("N03", inbox.Stream),
		ofInbox("N04", func(ctx context.Context) preflight.Finding { return inbox.Cursors(ctx, run) }),
		preflight.New("N06", func(ctx context.Context) preflight.Finding { return rt.provenCredentials(ctx) }),
	)
}

// newRun names one run of the probe.
func newRun() string {
	var random [6]byte
	_, _ = rand.Read(random[:]) // documented never to fail
	return hex.EncodeToString(random[:])
}

// probeTokenLife is longer than a probe can last.
const probeTokenLife = 10 * time.Minute

// probeToken makes a player's token, with the secret that there is: where Redis has
// none, the doctor makes none.
func (rt Runtime) probeToken(ctx context.Context, client redis.UniversalClient, who string) (string, error) {
	if !rt.Config.Notifier.TokenSecret.Set() {
		switch has, err := redisstore.HasTokenSecret(ctx, client, rt.Config.Prefix); {
		case err != nil:
			return "", err
		case !has:
			return "", errors.New("no notifier has left the secret that signs tokens in Redis")
		}
	}
	secret, err := NotifierSecret(ctx, rt, client)
	if err != nil {
		return "", err
	}
	return inboxapi.IssueToken(secret, who, probeTokenLife)
}

// eventsLog implements probe.Log.
type eventsLog struct {
	reader *kafkalog.Reader
	topic  string
}

// Ends implements probe.Log.
func (l *eventsLog) Ends(ctx context.Context) (map[int32]int64, error) {
	all, err := l.reader.Bounds(ctx, l.topic)
	if err != nil {
		return nil, err
	}
	ends := make(map[int32]int64, len(all))
	for _, b := range all {
		ends[b.Partition] = b.End
	}
	return ends, nil
}

// Read implements probe.Log.
func (l *eventsLog) Read(ctx context.Context, partition int32, from, to int64, fn func([]wire.Record) error) error {
	return l.reader.Read(ctx, l.topic, partition, from, to, false, fn)
}

// prover is a channel that can show its credentials to its provider, and tell nobody.
type prover interface {
	delivery.Channel
	Prove(ctx context.Context) (delivery.Result, bool)
}

var (
	_ prover = (*fcm.Channel)(nil)
	_ prover = (*apns.Channel)(nil)
)

// provenCredentials is N06 where the providers are asked as well.
func (rt Runtime) provenCredentials(ctx context.Context) preflight.Finding {
	classes, err := classesOf(rt.Config)
	if err != nil {
		return preflight.NotSeen(err, "veltrix rules check "+rt.Config.Rules.File)
	}
	made := credentials(rt.Config, classes)
	if made.State != preflight.Pass {
		return made
	}
	phones, err := mobileChannels(rt.Config.Notifier, nil)
	if err != nil {
		return preflight.NotSeen(err, "docs/channels says for each channel what it needs")
	}
	return proven(ctx, made, phones)
}

// proven asks each provider. Its own word against our credentials fails; where it
// gave none, nothing is known.
func proven(ctx context.Context, made preflight.Finding, phones []delivery.Channel) preflight.Finding {
	const expected = "every provider takes the credentials"
	var bad, unknown []string
	for _, ch := range phones {
		p, ok := ch.(prover)
		if !ok {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, ch.Timeout())
		res, taken := p.Prove(asking)
		cancel()
		switch {
		case taken:
			made.Observed += "; " + ch.Name() + " takes our credentials"
		case res.Alarm:
			bad = append(bad, ch.Name()+": "+res.Reason)
		default:
			unknown = append(unknown, ch.Name()+": "+res.Reason)
		}
	}
	switch {
	case len(bad) > 0:
		return preflight.Failed(strings.Join(append(bad, unknown...), "; "), expected, "docs/channels says for each channel where its key comes from; a clock that is wrong makes good keys bad")
	case len(unknown) > 0:
		return preflight.NotSeen(errors.New(strings.Join(unknown, "; ")), "see that the providers can be reached from here, as from the notifiers")
	}
	return made
}

// probeFor is how long the doctor may take where it probes, unless it is told: a
// stream shows a heartbeat, and what was sent is read back.
const probeFor = 45 * time.Second

// timeout is how long all of it may take.
func (o DoctorOptions) timeout() time.Duration {
	switch {
	case o.Timeout > 0:
		return o.Timeout
	case o.Probe:
		return probeFor
	}
	return doctorFor
}

// doctorFor is how long it may take otherwise.
const doctorFor = 15 * time.Second
