package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/veltrix/veltrix/internal/inboxapi"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/preflight"
	"github.com/veltrix/veltrix/internal/redisstore"
	"github.com/veltrix/veltrix/internal/service"
)

// errNoManifest means that the topics were never applied.
var errNoManifest = errors.New("this deployment has no manifest yet: run veltrix topics apply")

// awaitManifest waits for the brokers and reads what the deployment pinned. It
// refuses at once where they deny this command a right that it will need: later
// the denial would come with the first record that needs it, or be retried in
// silence.
func (rt Runtime) awaitManifest(ctx context.Context, kafka kafkalog.Config) (*kafkalog.Manifest, error) {
	var manifest *kafkalog.Manifest
	what, whole := "kafka at "+strings.Join(kafka.Brokers, ","), ctx
	err := service.Await(ctx, rt.Log, what, rt.Config.StartTimeout, func(ctx context.Context) error {
		m, err := kafkalog.ReadManifest(ctx, unlogged(kafka))
		switch {
		case errors.Is(err, kafkalog.ErrNoTopic), err == nil && m == nil:
			return service.Permanent(fmt.Errorf("prefix %q: %w", kafka.Prefix, errNoManifest))
		case err != nil:
			if refusal := rt.misled(whole, unlogged(kafka)); refusal != nil {
				return service.Permanent(refusal)
			}
			return lasting(kafka.Denied(ctx, err))
		}
		manifest = m
		return permitted(ctx, kafka)
	})
	return manifest, err
}

// misledTimeout bounds the look at the brokers' addresses.
const misledTimeout = 5 * time.Second

// misled returns why brokers that answer lead nowhere, if they share one address
// (K01): whoever waits for such brokers would wait for ever, and never get as far
// as the gate that says why.
func (rt Runtime) misled(ctx context.Context, kafka kafkalog.Config) error {
	waivers, err := rt.waivers()
	if err != nil {
		return err
	}
	checks, err := preflight.Choose(rt.brokerChecks(kafka, nil), []string{"K01"}, nil)
	if err != nil {
		return err
	}
	return rt.examine(ctx, checks, kafka, nil, waivers, misledTimeout).StartError()
}

// permitted refuses where the brokers deny this command what it will need. What
// only the checks at the start need is theirs to tell.
func permitted(ctx context.Context, kafka kafkalog.Config) error {
	rights, err := kafkalog.NewRights(kafka)
	if err != nil {
		return err
	}
	defer rights.Close()
	missing, err := rights.Missing(ctx)
	if err != nil {
		return err
	}
	return lasting(rights.Error(missing))
}

// lasting marks a denial: waiting does not end it.
func lasting(err error) error {
	if denied := (*kafkalog.DeniedError)(nil); errors.As(err, &denied) {
		return service.Permanent(err)
	}
	return err
}

// unlogged silences the client library while Await tries: it would write a line
// for every connection that failed, beside the one that says what is away.
func unlogged(kafka kafkalog.Config) kafkalog.Config {
	kafka.Logger = nil
	return kafka
}

// awaitRedis opens a client and waits until Redis answers.
func (rt Runtime) awaitRedis(ctx context.Context) (redis.UniversalClient, error) {
	cfg, err := rt.Redis()
	if err != nil {
		return nil, err
	}
	client := redisstore.Open(cfg)
	what := "redis at " + strings.Join(cfg.Addrs, ",")
	err = service.Await(ctx, rt.Log, what, rt.Config.StartTimeout, func(ctx context.Context) error {
		return client.Ping(ctx).Err()
	})
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	return client, nil
}

// view returns the deployment's states in Redis, as schema reads them.
func (rt Runtime) view(client redis.UniversalClient, manifest *kafkalog.Manifest, schema *participant.Schema) *redisstore.State {
	return redisstore.NewState(client, redisstore.Space{
		Prefix: rt.Config.Prefix, Generation: manifest.Generation, Buckets: rt.Config.Processor.Buckets,
	}, schema)
}

// TopicsFunc plans or applies topics.
type TopicsFunc func(context.Context, kafkalog.Config, kafkalog.TopicPlanOptions) (kafkalog.Plan, error)

// Topics waits for the brokers and plans or applies the topics, with the rights of
// a command: planning needs no more than the doctor does.
func (rt Runtime) Topics(ctx context.Context, command string, opts kafkalog.TopicPlanOptions, run TopicsFunc) (kafkalog.Plan, error) {
	kafka, err := rt.Kafka("topics")
	if err != nil {
		return kafkalog.Plan{}, err
	}
	kafka.Command = command
	what := "kafka at " + strings.Join(kafka.Brokers, ",")
	err = service.Await(ctx, rt.Log, what, rt.Config.StartTimeout, func(ctx context.Context) error {
		return permitted(ctx, kafka)
	})
	if err != nil {
		return kafkalog.Plan{}, err
	}
	plan, err := run(ctx, kafka, opts)
	return plan, kafka.Denied(ctx, err)
}

// Token issues a participant's token for the inbox.
func (rt Runtime) Token(ctx context.Context, participant string, life time.Duration) (string, error) {
	if url := rt.Config.Notifier.JWKSURL; url != "" {
		return "", fmt.Errorf("players' tokens are signed by whoever publishes the keys at notifier.jwks_url (%s): ask there for one", url)
	}
	client, err := rt.awaitRedis(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }()
	secret, err := NotifierSecret(ctx, rt, client)
	if err != nil {
		return "", err
	}
	return inboxapi.IssueToken(secret, participant, life)
}
