package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/veltrix/veltrix/internal/app"
	"github.com/veltrix/veltrix/internal/kafkalog"
	"github.com/veltrix/veltrix/internal/redisstore"
)

// place is one round's own deployment: a prefix that nobody else has.
type place struct {
	rt         app.Runtime
	kafka      kafkalog.Config
	partitions int32
	groups     []string // beside the deployment's own
}

// inPlace does something in a place of its own, and removes it.
func inPlace(ctx context.Context, rt app.Runtime, prefix string, partitions int32, do func(*place) error) (err error) {
	p, err := newPlace(ctx, rt, prefix, partitions)
	if p != nil {
		defer func() {
			removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
			defer cancel()
			if e := p.remove(removing); e != nil {
				err = errors.Join(err, fmt.Errorf("remove what the bench left under %s: %w", p.kafka.Prefix, e))
			}
		}()
	}
	if err != nil {
		return err
	}
	return do(p)
}

// newPlace creates a deployment's topics under prefix. remove takes away what
// it left, also where newPlace failed half way.
func newPlace(ctx context.Context, rt app.Runtime, prefix string, partitions int32) (*place, error) {
	cfg := *rt.Config
	cfg.Prefix = prefix
	rt.Config = &cfg
	p := &place{rt: rt, partitions: partitions}
	var err error
	if p.kafka, err = rt.Kafka("bench"); err != nil {
		return nil, err
	}
	p.kafka.Hooks = nil // the bench's own traffic is no metric
	_, err = kafkalog.ApplyTopics(ctx, p.kafka, kafkalog.TopicPlanOptions{Profile: "dev", Partitions: partitions})
	if err != nil {
		return p, fmt.Errorf("create the topics of %s: %w", prefix, err)
	}
	return p, nil
}

// fill appends the workload to the events topic and returns where each
// partition ends.
func (p *place) fill(ctx context.Context, w *Workload) ([]int64, error) {
	if err := p.append(ctx, w, 0, w.Events); err != nil {
		return nil, err
	}
	return p.ends(ctx, w.Events)
}

// append appends the events of [from, to).
func (p *place) append(ctx context.Context, w *Workload, from, to int64) error {
	topic := p.kafka.Topic("events")
	cl, err := kgo.NewClient(p.kafka.Options(
		kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()),
	)...)
	if err != nil {
		return fmt.Errorf("create the client that fills %s: %w", topic, err)
	}
	defer cl.Close()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	i := int64(-1)
	err = w.Each(p.partitions, func(r *kgo.Record) error {
		if i++; i < from || i >= to {
			return nil
		}
		cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				fail(err)
			}
		})
		return ctx.Err()
	})
	if err == nil {
		err = cl.Flush(ctx)
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("fill %s: %w", topic, err)
	}
	return nil
}

// bounds returns where the partitions end now.
func (p *place) bounds(ctx context.Context) ([]int64, error) {
	bounds, err := kafkalog.Bounds(ctx, p.kafka, p.kafka.Topic("events"))
	if err != nil {
		return nil, err
	}
	ends := make([]int64, len(bounds))
	for i, b := range bounds {
		ends[i] = b.End
	}
	return ends, nil
}

// ends returns where the partitions end, which together must be what was sent.
func (p *place) ends(ctx context.Context, events int64) ([]int64, error) {
	bounds, err := kafkalog.Bounds(ctx, p.kafka, p.kafka.Topic("events"))
	if err != nil {
		return nil, err
	}
	var ends []int64
	total := int64(0)
	for _, b := range bounds {
		ends = append(ends, b.End)
		total += b.End - b.Start
	}
	if total != events {
		return nil, fmt.Errorf("%s holds %d records after %d were sent", p.kafka.Topic("events"), total, events)
	}
	return ends, nil
}

// remove deletes the deployment's topics, group and keys.
func (p *place) remove(ctx context.Context) error {
	return errors.Join(p.removeTopics(ctx), p.removeKeys(ctx))
}

func (p *place) removeTopics(ctx context.Context) error {
	cl, err := kgo.NewClient(p.kafka.Options()...)
	if err != nil {
		return fmt.Errorf("create the client that removes topics: %w", err)
	}
	defer cl.Close()
	all := kmsg.NewPtrMetadataRequest() // nil topics: all
	meta, err := all.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("list the topics: %w", err)
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 30_000
	for _, t := range meta.Topics {
		if t.Topic != nil && strings.HasPrefix(*t.Topic, p.kafka.Prefix+".") {
			req.TopicNames = append(req.TopicNames, *t.Topic)
			named := kmsg.NewDeleteTopicsRequestTopic()
			named.Topic = t.Topic
			req.Topics = append(req.Topics, named)
		}
	}
	var failed []error
	if len(req.TopicNames) > 0 {
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return fmt.Errorf("delete the topics of %s: %w", p.kafka.Prefix, err)
		}
		for _, t := range resp.Topics {
			if err := kerr.ErrorForCode(t.ErrorCode); err != nil && t.Topic != nil {
				failed = append(failed, fmt.Errorf("delete %s: %w", *t.Topic, err))
			}
		}
	}
	groups := kmsg.NewPtrDeleteGroupsRequest()
	groups.Groups = append([]string{p.kafka.ProcessorGroup(), p.kafka.NotifierGroup()}, p.groups...)
	resp, err := groups.RequestWith(ctx, cl)
	if err != nil {
		return errors.Join(append(failed, fmt.Errorf("delete the groups of %s: %w", p.kafka.Prefix, err))...)
	}
	for _, g := range resp.Groups {
		err := kerr.ErrorForCode(g.ErrorCode)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) && !errors.Is(err, kerr.NonEmptyGroup) {
			failed = append(failed, fmt.Errorf("delete group %s: %w", g.Group, err)) // one not empty ends by itself
		}
	}
	return errors.Join(failed...)
}

// removeKeys deletes every key with the prefix in its name, which no other
// deployment has.
func (p *place) removeKeys(ctx context.Context) error {
	cfg, err := p.rt.Redis()
	if err != nil {
		return err
	}
	client := redisstore.Open(cfg)
	defer func() { _ = client.Close() }()
	for cursor := uint64(0); ; {
		keys, next, err := client.Scan(ctx, cursor, "*"+p.kafka.Prefix+"[.:]*", 1000).Result()
		if err != nil {
			return fmt.Errorf("list the keys of %s: %w", p.kafka.Prefix, err)
		}
		if len(keys) > 0 {
			if err := client.Unlink(ctx, keys...).Err(); err != nil {
				return fmt.Errorf("delete the keys of %s: %w", p.kafka.Prefix, err)
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// redisInfo returns what the server says of itself. A Redis that does not say
// is no error: it is described less.
func redisInfo(ctx context.Context, rt app.Runtime) (map[string]string, error) {
	cfg, err := rt.Redis()
	if err != nil {
		return nil, err
	}
	client := redisstore.Open(cfg)
	defer func() { _ = client.Close() }()
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("reach redis at %s: %w", strings.Join(cfg.Addrs, ","), err)
	}
	info := map[string]string{}
	text, _ := client.Info(ctx, "server").Result()
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[k] = v
		}
	}
	if settings, err := client.ConfigGet(ctx, "append*").Result(); err == nil {
		info["appendonly"], info["appendfsync"] = settings["appendonly"], settings["appendfsync"]
	}
	return info, nil
}

// kafkaVersion guesses the brokers' version by the requests they know.
func kafkaVersion(ctx context.Context, kafka kafkalog.Config) (string, error) {
	cl, err := kgo.NewClient(kafka.Options()...)
	if err != nil {
		return "", fmt.Errorf("create the client that asks for the version: %w", err)
	}
	defer cl.Close()
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "veltrix", "bench"
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return "", fmt.Errorf("reach kafka at %s: %w", strings.Join(kafka.Brokers, ","), err)
	}
	version := kversion.FromApiVersionsResponse(resp).VersionGuess()
	for _, f := range resp.FinalizedFeatures {
		if f.Name == "metadata.version" {
			version += fmt.Sprintf(" (metadata.version %d)", f.MaxVersionLevel)
		}
	}
	return version, nil
}
